/// The kind of trouble of an error, from which an executable derives its exit code.
public enum FailureCategory: Sendable, Hashable {
  /// A model or data file was read and refused.
  case refusedData
  /// The system refused an operation: missing file, no permission, disk full.
  case inputOutput
  /// A computation produced no usable number.
  case numerical
  /// The caller asked for something that cannot be done with this model.
  case usage
  /// The work was stopped but can be resumed, or the state to resume from does not match.
  case resumable
  /// Anything else that went wrong while running.
  case failure
}

/// An error of this package: one enum per subsystem, one case for each thing that can be wrong.
///
/// `description` is one sentence that says what is wrong and what to do. Text that comes from a file
/// must go through `printable(_:)` before it enters the sentence.
public protocol DuetError: Error, CustomStringConvertible, Sendable {
  /// The kind of trouble, for the exit code.
  var category: FailureCategory { get }
}

/// Returns `text` in a form that is safe inside a one-line message.
///
/// Control characters, line breaks and bidirectional overrides are escaped as `\u{...}`; the text is
/// cut after `limit` scalars.
///
/// - Complexity: O(`limit`).
package func printable(_ text: some StringProtocol, limit: Int = 200) -> String {
  var result = String.UnicodeScalarView()
  var count = 0
  for scalar in text.unicodeScalars {
    if count == limit {
      result.append("\u{2026}")
      break
    }
    count += 1
    if isSafeToDisplay(scalar) {
      result.append(scalar)
    } else {
      result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
    }
  }
  return String(result)
}

/// Whether `scalar` can be shown on a terminal without side effects.
///
/// Unsafe scalars move the cursor (line feed and tab too), start an escape sequence or change the
/// direction of the text around them.
package func isSafeToDisplay(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0x00...0x1F, 0x7F...0x9F: false
  case 0x2028, 0x2029: false
  case 0x200E, 0x200F, 0x061C, 0x202A...0x202E, 0x2066...0x2069: false
  default: true
  }
}
