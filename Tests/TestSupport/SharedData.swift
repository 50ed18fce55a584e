package import Foundation

/// The folder of data that tests may read but the project may not contain.
///
/// It is `../shared`, seen from the project's root, and absent from a plain clone.
package enum SharedData {
  /// The project's root folder.
  package static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The path of a file or folder in `../shared`, or nil when it is absent.
  package static func path(_ relative: String) -> String? {
    let path = root.deletingLastPathComponent().appendingPathComponent("shared/\(relative)").path
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }

  /// The path of a file or folder of the project itself.
  package static func project(_ relative: String) -> String {
    root.appendingPathComponent(relative).path
  }
}
