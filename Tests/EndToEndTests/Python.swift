import Foundation
import Glibc
import TestSupport

/// Runs Python and returns its exit code and standard output.
func runPython(
  _ arguments: [String], timeLimit: Double = 120
) throws -> (code: Int32, output: String) {
  let folder = try TemporaryFolder()
  let process = try ChildProcess(
    path: "/usr/bin/env", arguments: ["python3", "-B"] + arguments,
    descriptors: [
      .open(0, "/dev/null", O_RDONLY),
      .open(1, "\(folder.path)/out", O_WRONLY | O_CREAT | O_TRUNC), .duplicate(2, from: 2),
    ])
  let code = process.wait(timeLimit: timeLimit).exitCode
  return (code, String(decoding: try folder.read("out"), as: UTF8.self))
}
