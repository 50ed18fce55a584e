internal import DuetRuntime
internal import Glibc

/// Restarts the process with better kernels for OpenBLAS, if there are any.
///
/// OpenBLAS reads its environment variable when it is loaded, before `main`, so another choice needs
/// a restart. Nothing happens if the variable is already set, by the user or by this function;
/// therefore the process restarts at most once. If the restart fails, the process continues with
/// the slower kernels.
func chooseBLASCore() {
  guard Environment.value(BLASCore.variable) == nil, let name = BLASCore.better else { return }
  unsafe setenv(BLASCore.variable, name, 1)
  unsafe execv("/proc/self/exe", CommandLine.unsafeArgv)
}
