import DuetCompressor
import DuetSystem
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("OutputFolder")
struct OutputFolderTests {
  private func refusal(
    _ path: String, source: String, force: Bool = false
  ) -> OutputFolderError? {
    do throws(OutputFolderError) {
      _ = try OutputFolder(path, source: source, force: force)
      return nil
    } catch {
      return error
    }
  }

  @Test("the source itself, and folders inside it, are refused however they are spelled")
  func overlaps() throws {
    let parent = try TemporaryFolder()
    let source = "\(parent.path)/source"
    let manager = FileManager.default
    try manager.createDirectory(atPath: "\(source)/inner", withIntermediateDirectories: true)
    try manager.createSymbolicLink(
      atPath: "\(parent.path)/link", withDestinationPath: "source/inner")
    for path in [source, "\(source)/", "\(source)/inner/..", "\(parent.path)/link/.."] {
      #expect(refusal(path, source: source, force: true) == .sameAsSource(path: path))
    }
    for path in ["\(source)/new", "\(source)/inner", "\(parent.path)/link/a/b"] {
      #expect(
        refusal(path, source: source, force: true) == .insideSource(path: path, source: source))
    }
    #expect(try manager.contentsOfDirectory(atPath: source) == ["inner"])
    #expect(try manager.contentsOfDirectory(atPath: "\(source)/inner").isEmpty)
    // A missing folder before "..": found out once it is there.
    let detour = "\(parent.path)/missing/../source/new"
    #expect(
      refusal(detour, source: source) == .insideSource(path: detour, source: source))
    #expect(refusal("\(parent.path)/other/deep", source: source) == nil)
  }

  @Test("two folders of one run must lie apart, before either is there")
  func apart() throws {
    let fixture = try CompressionFixture(layerCount: 1)
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/new"
    for dense in [path, "\(path)/", "\(path)/./in", folder.path, fixture.source.path] {
      let error = #expect(throws: CompressionError.self) {
        try fixture.run(to: path, denseFolder: dense)
      }
      #expect(error?.category == .usage)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
  }

  @Test("files that are there are not touched without force")
  func contents() throws {
    let folder = try TemporaryFolder()
    try folder.write("notes.txt", "mine")
    #expect(refusal(folder.path, source: "/nowhere") == .notEmpty(path: folder.path))
    #expect(try files(in: folder.path) == ["notes.txt": Array("mine".utf8)])
    #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/.compress"))
    #expect(refusal(folder.path, source: "/nowhere", force: true) == nil)
    let file = "\(folder.path)/notes.txt"
    #expect(
      refusal(file, source: "/nowhere", force: true) == .file(.notAFolder(path: file)))
    let error = try #require(refusal("/proc/nothing", source: "/nowhere"))
    #expect(error.category == .inputOutput)
  }

  @Test("a second run is refused while the first goes on")
  func lock() throws {
    let folder = try TemporaryFolder()
    let first = try OutputFolder(folder.path, source: "/nowhere")
    #expect(refusal(folder.path, source: "/nowhere") == .locked(path: folder.path))
    #expect(OutputFolderError.locked(path: "").category == .inputOutput)
    try first.requireFreeSpace(1)
    withExtendedLifetime(first) {}
  }

  @Test("the lock goes with its owner")
  func unlock() throws {
    let folder = try TemporaryFolder()
    for _ in 0..<2 { #expect(refusal(folder.path, source: "/nowhere") == nil) }
  }

  /// The end of a run renames the folder of the lock, for which another run may be waiting.
  @Test("a run that ends while another begins is no error of files")
  func endWhileAnotherBegins() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model"
    for trial in 0..<10 {
      let first = try OutputFolder(path, source: "/nowhere")
      let ended = "\(folder.path)/ended-\(trial)"
      Thread.detachNewThread {
        // The other waits for a fifth of a second.
        usleep(20_000)
        _ = unsafe rename("\(path)/.compress", ended)
      }
      let error = refusal(path, source: "/nowhere")
      #expect(error == nil || error == .locked(path: path))
      while !FileManager.default.fileExists(atPath: ended) { usleep(1000) }
      withExtendedLifetime(first) {}
    }
  }

  @Test("too little space is reported with both numbers")
  func space() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFolder(folder.path, source: "/nowhere")
    do throws(OutputFolderError) {
      try output.requireFreeSpace(.max)
      Issue.record("nothing was thrown")
    } catch {
      guard case .notEnoughSpace(_, .max, let free) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(free > 0 && error.description.contains("\(free) are free"))
    }
  }
}
