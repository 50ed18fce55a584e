import DuetCompressor
import DuetSystem
import Foundation
import Glibc
import TestSupport
import Testing

/// Folders on file systems whose locks fail, or are not seen by other machines.
@Suite("Locks of folders")
struct FolderLockTests {
  private func refusal(_ code: Int32, _ path: String) -> OutputFolderError? {
    let operations = FileOperations { step, _ in step == .lock ? .failed(code: code) : .done }
    return #expect(throws: OutputFolderError.self) {
      try OutputFolder(path, source: "/nowhere", force: false, operations: operations)
    }
  }

  @Test(
    "a file system without locks is refused in one sentence",
    arguments: [ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL])
  func noLocks(code: Int32) throws {
    let folder = try TemporaryFolder()
    let error = try #require(refusal(code, folder.path))
    #expect(error == .noLocks(path: folder.path, code: code))
    #expect(error.category == .inputOutput)
    #expect(error.description.contains(systemMessage(code)))
    #expect(error.description.contains("two runs could write here"))
    // A folder that was refused can be used when the locks work.
    _ = try OutputFolder(folder.path, source: "/nowhere")
  }

  @Test("other errors of a lock are errors of the file")
  func otherErrors() throws {
    let folder = try TemporaryFolder()
    #expect(refusal(EWOULDBLOCK, folder.path) == .locked(path: folder.path))
    guard case .file(.system(_, .write, EIO)) = refusal(EIO, folder.path) else {
      Issue.record("EIO was no error of a file")
      return
    }
  }

  /// What a process of another machine does where both are granted the lock.
  private func takeOver(_ path: String, record: String = "other 1 2\n") throws {
    let handle = try #require(FileHandle(forUpdatingAtPath: "\(path)/.compress/lock"))
    try handle.truncate(atOffset: 0)
    try handle.write(contentsOf: Data(record.utf8))
    try handle.close()
  }

  @Test("a run whose lock another machine was granted too may change nothing")
  func takenOver() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFolder(folder.path, source: "/nowhere")
    #expect(output.lockLoss == nil)
    let record = try String(contentsOfFile: "\(folder.path)/.compress/lock", encoding: .utf8)
    // The machine, the process and a number.
    let words = record.split(separator: " ")
    #expect(words.count == 3 && words[1] == "\(getpid())")
    for other in ["other 1 2\n", "", record + "x", String(record.dropLast())] {
      try takeOver(folder.path, record: other)
      #expect(output.lockLoss == .lockLost(path: folder.path))
      #expect(throws: FileError.lockLost(path: folder.path)) {
        try output.operations.makeFolders("\(folder.path)/new")
      }
    }
    try takeOver(folder.path, record: record)
    #expect(output.lockLoss == nil)
  }

  @Test("of two runs that are both granted the lock, the earlier ends and the later one completes")
  func twoRuns() throws {
    let fixture = try PartsTests.fixture()
    let folder = try TemporaryFolder()
    let (path, whole) = ("\(folder.path)/model", "\(folder.path)/whole")
    try fixture.run(to: whole)
    let part = "\(path).parts/2-of-2"
    var before: [String: [UInt8]] = [:]
    let observer = TakingOver(afterMatrices: 2) {
      try takeOver(part)
      before = try files(in: "\(part)/.compress/parts")
    }
    let error = #expect(throws: CompressionError.self) {
      try fixture.run(part: 2, of: 2, to: path, observer: observer)
    }
    #expect(error?.category == .resumable && observer.failure == nil)
    #expect(error?.underlying as? FileError == .lockLost(path: part))
    #expect(before.count == 2)
    #expect(try files(in: "\(part)/.compress/parts") == before)
    for index in 1...2 { #expect(try fixture.run(part: index, of: 2, to: path).isComplete) }
    try fixture.merge(to: path)
    #expect(
      try CompressionFixture.result(in: path) == CompressionFixture.result(in: whole))
  }

  @Test("temporary names differ between processes of the same number")
  func temporaryNames() throws {
    let folder = try TemporaryFolder()
    let file = try AtomicFile(path: "\(folder.path)/a")
    let name = try #require(
      try FileManager.default.contentsOfDirectory(atPath: folder.path).first)
    // The name, the process, a random number, and the suffix.
    #expect(try #/a\.\d+-[0-9a-f]+\.partial/#.wholeMatch(in: name) != nil, "\(name)")
    _ = consume file
  }
}

/// Does something once, after so many matrices of a run.
private final class TakingOver: CompressionObserver {
  private var left: Int
  private let act: () throws -> Void
  private(set) var failure: (any Error)?

  init(afterMatrices count: Int, _ act: @escaping () throws -> Void) {
    left = count
    self.act = act
  }

  func finished(_ record: MatrixRecord, seconds: Double?) {
    left -= 1
    if left == 0 { do { try act() } catch { failure = error } }
  }
}
