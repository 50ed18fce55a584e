/// Thrown when the observer wants a run to stop.
struct CompressionStopped: Error {}
