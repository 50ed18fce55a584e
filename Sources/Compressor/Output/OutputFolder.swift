package import DuetSystem
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The folder that gets a compressed model, locked against other runs while this object lives.
///
/// Everything unfinished is in its subfolder `.compress`:
///
///     lock              locked by the process that writes
///     fingerprint.json  the `Fingerprint` of the run, written when the run begins
///     allocation.json   the ranks, once they are chosen to meet a number of bits per weight
///     parts/            a file for every finished matrix
///     hidden-<layer>    the hidden states before a layer
///     original-<layer>  the hidden states of the original model before a layer, with corrections
///     out/              the model while its files are written
///     ready/            `out`, renamed when all files are written
///     moving/           `ready`, renamed when config.json and weights of an older model are removed
///
/// Each of the last three becomes the next by one rename, so a run that died at any point can be resumed.
/// config.json is moved last: its presence marks a complete model. Then `.compress` is renamed, which ends
/// the run, and removed.
///
/// The folder may be removed while a run writes to it, and another run may begin there. The lock file is then
/// gone or another one, or names another process. Before every change of a name the run checks its lock, so it
/// ends without touching the files of the other run.
package final class OutputFolder: Sendable {
  /// The path of the folder, as given.
  package let path: String
  /// Whether an existing model may be replaced, and the state of an earlier run deleted.
  package let force: Bool

  /// The operations of files in the folder, which fail once the lock is lost.
  package let operations: FileOperations
  private let lock: FolderLock
  /// Whether the run has ended and its lock is given up.
  private let hasEnded = Atomic(false)

  /// Makes the folder if it is missing, checks it and locks it.
  ///
  /// Nothing is written when the folder is refused.
  ///
  /// - Parameters:
  ///   - path: The folder; missing folders above it are made too.
  ///   - source: The folder of the model that is to be compressed.
  ///   - force: Whether existing files may be replaced.
  /// - Throws: `OutputFolderError`.
  package convenience init(
    _ path: String, source: String, force: Bool = false
  ) throws(OutputFolderError) {
    try self.init(path, source: source, force: force, operations: .system)
  }

  /// Makes, checks and locks the folder with the given operations on files.
  package init(
    _ path: String, source: String, force: Bool, operations: FileOperations
  ) throws(OutputFolderError) {
    self.path = path
    self.force = force
    let lock = try Self.prepare(path, source: source, force: force, operations)
    self.lock = lock
    self.operations = operations.unless { Self.loss(of: lock, in: path) }
  }

  deinit { lock.release() }

  // MARK: - The lock

  /// The error of a run that has lost its lock, or nil while it has it or after it has ended.
  package var lockLoss: FileError? {
    hasEnded.load(ordering: .relaxed) ? nil : Self.loss(of: lock, in: path)
  }

  private static func loss(of lock: FolderLock, in path: String) -> FileError? {
    lock.isHeld(in: statePath(in: path)) ? nil : .lockLost(path: path)
  }

  // MARK: - Paths

  private static let stateName = ".compress"
  /// The name of `.compress` between the end of a run and its removal.
  private static let endedName = ".compress-ended"
  private static let configurationName = "config.json"

  package var statePath: String { Self.statePath(in: path) }
  package var fingerprintPath: String { Self.fingerprintPath(in: path) }
  package var allocationPath: String { "\(statePath)/allocation.json" }
  package var partsPath: String { Self.partsPath(in: path) }
  package var assemblyPath: String { "\(statePath)/out" }
  private var readyPath: String { "\(statePath)/ready" }
  private var movingPath: String { "\(statePath)/moving" }

  static func statePath(in path: String) -> String { "\(path)/\(stateName)" }
  static func partsPath(in path: String) -> String { "\(statePath(in: path))/parts" }
  static func fingerprintPath(in path: String) -> String {
    "\(statePath(in: path))/fingerprint.json"
  }

  // MARK: - Free space

  /// Checks that the disk has room for `neededBytes` more bytes.
  ///
  /// At the end of a run the compressed matrices are on the disk twice, in `parts` and in `out`.
  ///
  /// - Throws: `OutputFolderError.notEnoughSpace`.
  package func requireFreeSpace(_ neededBytes: Int) throws(OutputFolderError) {
    guard let free = freeByteCount(path), free < neededBytes else { return }
    throw .notEnoughSpace(path: path, neededBytes: neededBytes, freeBytes: free)
  }

  // MARK: - The end of a run

  /// Whether all files of a model are written and only have to be moved to their places.
  package var isReadyToMove: Bool { fileExists(readyPath) || fileExists(movingPath) }

  /// Marks the model as complete: all its files are in `assemblyPath`.
  package func markReady() throws(OutputFolderError) {
    try wrapping(OutputFolderError.file) { () throws(FileError) in
      try operations.rename(assemblyPath, to: readyPath)
      try operations.synchronizeFolder(statePath)
    }
  }

  /// Moves a complete model to its place, config.json last, and removes the state of the run.
  ///
  /// Steps that are done already are skipped, so this may be called again after a failure. The config.json of
  /// an older model is removed first, when the new model is already complete in `ready`.
  package func moveIntoPlace() throws(OutputFolderError) {
    try wrapping(OutputFolderError.file) { () throws(FileError) in
      if fileExists(readyPath) {
        try operations.remove("\(path)/\(Self.configurationName)")
        try operations.synchronizeFolder(path)
        // Old shards, and above all an old index, would be read as parts of the new model.
        for name in try listFolder(path) where Self.isWeights(name) {
          try operations.remove("\(path)/\(name)")
        }
        try operations.rename(readyPath, to: movingPath)
        try operations.synchronizeFolder(statePath)
      }
      for name in try listFolder(movingPath) where name != Self.configurationName {
        try operations.rename("\(movingPath)/\(name)", to: "\(path)/\(name)")
      }
      try operations.synchronizeFolder(path)
      let configuration = "\(movingPath)/\(Self.configurationName)"
      if fileExists(configuration) {
        try operations.rename(configuration, to: "\(path)/\(Self.configurationName)")
        try operations.synchronizeFolder(path)
      }
      let ended = "\(path)/\(Self.endedName)"
      try operations.rename(statePath, to: ended)
      hasEnded.store(true, ordering: .relaxed)
      // The lock file went with the folder.
      let operations = operations.unconditional
      try operations.synchronizeFolder(path)
      try operations.removeTree(ended)
    }
  }

  /// Whether a file holds weights, or is the index of the files that do.
  private static func isWeights(_ name: String) -> Bool {
    name == "model.safetensors.index.json"
      || name.hasPrefix("model") && name.hasSuffix(".safetensors")
  }

  // MARK: - Checks

  /// Checks, makes and locks the folder; returns the lock.
  private static func prepare(
    _ path: String, source: String, force: Bool, _ operations: FileOperations
  ) throws(OutputFolderError) -> FolderLock {
    try check(path, apartFrom: source)
    try checkContents(path, force: force)
    let state = statePath(in: path)
    try wrapping(OutputFolderError.file) { () throws(FileError) in
      try operations.makeFolders(state)
    }
    let lock = try FolderLock(in: state, folder: path, operations)
    do throws(OutputFolderError) {
      // Checked again: now that the folders exist, a path with ".." may resolve differently, and another run
      // may have ended meanwhile.
      try check(path, apartFrom: source)
      try checkContents(path, force: force)
      try wrapping(OutputFolderError.file) { () throws(FileError) in
        // This remains from a run that died while it removed its state.
        try operations.removeTree("\(path)/\(endedName)")
      }
    } catch {
      if !fileExists(fingerprintPath(in: path)) { try? operations.removeTree(state) }
      lock.release()
      throw error
    }
    return lock
  }

  /// Refuses an output that is the source or inside it, however the paths are spelled.
  static func check(
    _ path: String, apartFrom source: String
  ) throws(OutputFolderError) {
    guard let sourceIdentity = FileIdentity(source) else { return }
    var existing = path
    while !fileExists(existing), let parent = parentFolder(of: existing) { existing = parent }
    guard let resolved = unsafe realpath(existing, nil) else { return }
    defer { unsafe free(resolved) }
    var current = unsafe String(cString: resolved)
    if existing == path, FileIdentity(current) == sourceIdentity {
      throw .sameAsSource(path: path)
    }
    while true {
      guard FileIdentity(current) != sourceIdentity else {
        throw .insideSource(path: path, source: source)
      }
      guard let parent = parentFolder(of: current) else { return }
      current = parent
    }
  }

  /// Refuses two folders that are the same, or of which one is inside the other.
  ///
  /// - Throws: `OutputFolderError.overlapping`.
  static func requireApart(_ path: String, from other: String) throws(OutputFolderError) {
    let (place, otherPlace) = (Self.place(of: path) + "/", Self.place(of: other) + "/")
    guard !place.utf8.starts(with: otherPlace.utf8), !otherPlace.utf8.starts(with: place.utf8)
    else {
      throw .overlapping(path: path, other: other)
    }
    do throws(OutputFolderError) {
      try check(path, apartFrom: other)
      try check(other, apartFrom: path)
    } catch {
      throw .overlapping(path: path, other: other)
    }
  }

  /// The path without symbolic links, as far as its folders exist already.
  private static func place(of path: String) -> String {
    var missing: [Substring] = []
    var parts = path.split(separator: "/")[...]
    while true {
      let existing =
        (path.utf8.first == UInt8(ascii: "/") ? "/" : "./") + parts.joined(separator: "/")
      if let resolved = unsafe realpath(existing, nil) {
        defer { unsafe free(resolved) }
        let base = unsafe String(cString: resolved)
        return ([base == "/" ? "" : base] + missing.map(String.init)).joined(separator: "/")
      }
      guard let last = parts.popLast() else { return path }
      if last != "." { missing.insert(last, at: 0) }
    }
  }

  /// Refuses a folder with files in it, unless they may be replaced or belong to a run to resume.
  private static func checkContents(_ path: String, force: Bool) throws(OutputFolderError) {
    guard fileExists(path) else { return }
    let names = try wrapping(OutputFolderError.file) { () throws(FileError) in
      try listFolder(path)
    }
    let isEmpty = names.allSatisfy { $0 == stateName || $0 == endedName }
    guard isEmpty || force || fileExists(fingerprintPath(in: path)) else {
      throw .notEmpty(path: path)
    }
  }
}
