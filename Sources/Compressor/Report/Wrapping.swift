/// Calls `body` and wraps its error in another one.
func wrapping<Result, Inner: Error, Outer: Error>(
  _ wrap: (Inner) -> Outer, _ body: () throws(Inner) -> Result
) throws(Outer) -> Result {
  do throws(Inner) {
    return try body()
  } catch {
    throw wrap(error)
  }
}
