public import DuetRuntime
internal import DuetSystem

/// The analysis of all matrices of a model, by one pass of the samples through the original model.
///
/// ```
/// for each layer:
///     run the samples through it: the Hessians of its four inputs, and the inputs of the next layer
///     for each matrix: the spectra of W H W^T and of the rounding error, and the outliers of H
/// ```
public struct ModelAnalysis {
  private let model: Model
  private let checkpoint: Checkpoint
  private let plan: CompressionPlan
  private let options: CompressorOptions
  private let algebra: LinearAlgebra

  /// An analysis of an open checkpoint.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - plan: How its matrices would be compressed: rotation, rounding, damping and the names to keep.
  ///   - options: How the analysis runs.
  /// - Throws: `CheckpointError` when a tensor is missing or has another shape than the configuration says.
  public init(
    _ checkpoint: Checkpoint, plan: CompressionPlan, options: CompressorOptions
  ) throws(CheckpointError) {
    try self.init(
      Model(checkpoint), checkpoint, plan, options,
      LinearAlgebra(WorkerPool(threadCount: options.threadCount)))
  }

  init(
    _ model: Model, _ checkpoint: Checkpoint, _ plan: CompressionPlan,
    _ options: CompressorOptions, _ algebra: LinearAlgebra
  ) {
    self.model = model
    self.checkpoint = checkpoint
    self.plan = plan
    self.options = options
    self.algebra = algebra
  }

  /// Analyses all matrices that the plan would compress.
  ///
  /// - Parameters:
  ///   - samples: The calibration samples, on which the activations are measured.
  ///   - temporaryFolder: Where the states of the samples go if they are not held in memory.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Returns: The matrices in the order of the model, or nil when the observer stopped the run.
  /// - Throws: `CompressionError`.
  public func run(
    samples: CalibrationSamples, temporaryFolder: String, observer: some CompressionObserver
  ) throws(CompressionError) -> [MatrixAnalysis]? {
    do {
      if let name = model.firstNonFiniteWeight() {
        throw CompressionDataError.nonFiniteWeight(tensor: name)
      }
      let linears = (0..<model.configuration.layerCount).flatMap {
        LayerLinears(model.configuration, layer: $0, plan).all
      }
      return try matrices(
        samples, folder: temporaryFolder, MatrixRotation(linears: linears, plan, algebra), observer)
    } catch is CompressionStopped {
      return nil
    } catch LayerCalibrationError.cancelled {
      return nil
    } catch let error as any DuetError {
      throw CompressionError(error)
    } catch {
      preconditionFailure("\(error) is no error of this package")
    }
  }

  /// The analyses of all matrices.
  ///
  /// - Parameters:
  ///   - samples: The calibration samples, on which the activations are measured.
  ///   - folder: Where the states of the samples go if they are not held in memory.
  ///   - rotation: The rotations of all sizes, or nil.
  ///   - largestRank: The most eigenvalues that are computed.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Returns: The matrices in the order of the model.
  /// - Throws: `CompressionDataError`, `LayerCalibrationError`, errors of files, `CompressionStopped`.
  func matrices(
    _ samples: CalibrationSamples, folder: String, _ rotation: MatrixRotation?,
    largestRank: Int = .max, _ observer: some CompressionObserver
  ) throws -> [MatrixAnalysis] {
    let configuration = model.configuration
    let layers = (0..<configuration.layerCount).map {
      LayerLinears(configuration, layer: $0, plan)
    }
    let control = LayerCalibration.Control(
      progress: { observer.progressed($0, of: samples.sampleCount * samples.contextLength) },
      isCancelled: { observer.isCancelled })
    var calibration = LayerCalibration(
      configuration, contextLength: samples.contextLength, algebra)
    var states = try HiddenStates(
      sampleCount: samples.sampleCount, contextLength: samples.contextLength,
      hiddenSize: configuration.hiddenSize, memoryLimit: options.hiddenStatesLimit,
      folder: folder)
    try calibration.embed(samples, with: model, into: &states)
    var result: [MatrixAnalysis] = []
    for (index, layer) in layers.enumerated() {
      observer.phaseBegan(.analyzing(layer: index))
      var hessians = try calibration.hessians(
        of: model.layers[index], index: index, advancing: &states, control: control)
      for input in LinearInput.allCases {
        guard var hessian = hessians.take(input) else { continue }
        let linears = layer.sharing(input)
        if linears.isEmpty { continue }
        let moments = (0..<hessian.size).map { hessian.matrix[$0, $0] }
        _ = hessian.replaceZero()
        let metric = try Metric(
          &hessian.matrix, name: linears[0].name, damping: plan.damping,
          rotation: plan.incoherence == .none ? nil : rotation, algebra)
        for linear in linears {
          result.append(try analysis(linear, metric, moments, rotation, largestRank))
          if observer.isCancelled { throw CompressionStopped() }
        }
      }
    }
    return result
  }

  private func analysis(
    _ linear: LayerLinears.Linear, _ metric: borrowing Metric, _ moments: [Double],
    _ rotation: MatrixRotation?, _ largestRank: Int
  ) throws -> MatrixAnalysis {
    let tensor = try checkpoint.tensor(
      named: "\(linear.name).weight", shape: [linear.outputSize, linear.inputSize])
    var weight = Matrix(
      widening: tensor, rowCount: linear.outputSize, columnCount: linear.inputSize)
    let problem = try WeightProblem(
      &weight, name: linear.name, metric: metric,
      outputRotation: plan.incoherence == .both ? rotation : nil,
      keepsUnseenWeights: plan.method.needs.keepsUnseenWeights, algebra)
    do throws(LinearAlgebraError) {
      return try MatrixAnalysis(
        problem, metric, moments: moments, plan,
        count: min(linear.outputSize, linear.inputSize, largestRank), algebra)
    } catch {
      throw CompressionDataError.noConvergence(tensor: linear.name)
    }
  }
}
