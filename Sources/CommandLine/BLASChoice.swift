internal import DuetRuntime
internal import Glibc

/// Starts the process over with better kernels for OpenBLAS, when there are any.
///
/// OpenBLAS reads its environment variable when it is loaded, before `main`, so the only way to change
/// its mind is to begin again. A variable that the user has set is respected, and one that is set here
/// ends the matter, so this happens once at most. When the process cannot be started over it goes on
/// as it is, only slower.
func chooseBLASCore() {
  guard Environment.value(BLASCore.variable) == nil, let name = BLASCore.better else { return }
  unsafe setenv(BLASCore.variable, name, 1)
  unsafe execv("/proc/self/exe", CommandLine.unsafeArgv)
}
