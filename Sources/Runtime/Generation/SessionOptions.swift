#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// How a session runs its model.
public struct SessionOptions: Sendable {
  /// The most tokens of a session; nil means the context length of the model, at most 4096.
  public var contextLength: Int?
  /// Threads to compute with, the caller's included.
  public var threadCount: Int
  /// The element type of keys and values.
  public var cacheType: KVCacheType
  /// The type of the activations that packed matrices multiply.
  public var activations: ActivationType
  /// The most tokens evaluated together: more is faster and takes more memory.
  public var batchSize: Int
  /// The kernels to compute with.
  package var kernelSet = KernelSet.standard

  /// Options with their defaults: all processors, an F16 cache, int8 activations, batches of 512 tokens.
  public init(
    contextLength: Int? = nil, threadCount: Int = SessionOptions.processorCount,
    cacheType: KVCacheType = .f16, activations: ActivationType = .int8, batchSize: Int = 512
  ) {
    self.contextLength = contextLength
    self.threadCount = threadCount
    self.cacheType = cacheType
    self.activations = activations
    self.batchSize = batchSize
  }

  /// Options that compute with a given set of kernels.
  package init(
    contextLength: Int? = nil, threadCount: Int = SessionOptions.processorCount,
    cacheType: KVCacheType = .f16, activations: ActivationType = .int8, batchSize: Int = 512,
    kernelSet: KernelSet
  ) {
    self.init(
      contextLength: contextLength, threadCount: threadCount, cacheType: cacheType,
      activations: activations, batchSize: batchSize)
    self.kernelSet = kernelSet
  }

  /// The number of processors this process may run on.
  public static let processorCount = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
}
