// swift-tools-version: 6.2
import PackageDescription

let commonSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  // `@_lifetime` on the span accessors of `Buffer` and its kind: in 6.3 a noncopyable owner cannot
  // hand out a `Span` of its memory without it. swift-nio and swift-collections enable it too.
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

let swiftSettings = commonSettings + [.strictMemorySafety()]

/// The libraries that read and run models.
let libraries: [Target.Dependency] = ["DuetSystem", "DuetText", "DuetRuntime", "DuetEvaluation"]

let package = Package(
  name: "Duet",
  products: [
    .library(name: "DuetText", targets: ["DuetSystem", "DuetText"]),
    .library(name: "DuetRuntime", targets: ["DuetRuntime"]),
    .library(name: "DuetEvaluation", targets: ["DuetEvaluation"]),
    .library(name: "DuetCompressor", targets: ["DuetCompressor"]),
    .executable(name: "compress", targets: ["compress"]),
    .executable(name: "chat", targets: ["chat"]),
    .executable(name: "perplexity", targets: ["perplexity"]),
    .executable(name: "evaluate", targets: ["evaluate"]),
    .executable(name: "bench", targets: ["bench"]),
    .executable(name: "tokenize", targets: ["tokenize"]),
  ],
  targets: [
    // MARK: - Libraries, lowest first

    .target(name: "Kernels"),
    .systemLibrary(
      name: "COpenBLAS",
      pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"])]
    ),
    // What the others have of the system: memory, files, errors. Modules of the toolchain are called
    // System and Runtime, hence the prefix.
    .target(
      name: "DuetSystem", dependencies: ["Kernels"], path: "Sources/System",
      swiftSettings: swiftSettings),
    .target(
      name: "DuetText",
      dependencies: ["DuetSystem"],
      path: "Sources/Text",
      swiftSettings: swiftSettings
    ),
    .target(
      name: "DuetRuntime",
      dependencies: ["DuetSystem", "DuetText", "Kernels", "COpenBLAS"],
      path: "Sources/Runtime",
      swiftSettings: swiftSettings
    ),
    .target(
      name: "DuetEvaluation",
      dependencies: ["DuetSystem", "DuetText", "DuetRuntime"],
      path: "Sources/Evaluation",
      swiftSettings: swiftSettings
    ),
    .target(
      name: "DuetCompressor",
      dependencies: [
        "DuetSystem", "DuetText", "DuetRuntime", "DuetEvaluation", "Kernels", "COpenBLAS",
      ],
      path: "Sources/Compressor",
      swiftSettings: swiftSettings
    ),
    // "CommandLine" is the standard library's name for the process arguments.
    .target(
      name: "DuetCommandLine",
      dependencies: ["DuetSystem", "DuetText", "DuetRuntime"],
      path: "Sources/CommandLine",
      swiftSettings: swiftSettings
    ),

    // MARK: - Executables

    .executableTarget(
      name: "compress",
      dependencies: [
        "DuetSystem", "DuetText", "DuetRuntime", "DuetEvaluation", "DuetCompressor",
        "DuetCommandLine",
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "chat", dependencies: ["DuetSystem", "DuetText", "DuetRuntime", "DuetCommandLine"],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "perplexity",
      dependencies: [
        "DuetSystem", "DuetText", "DuetRuntime", "DuetEvaluation", "DuetCommandLine",
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "evaluate",
      dependencies: [
        "DuetSystem", "DuetText", "DuetRuntime", "DuetEvaluation", "DuetCommandLine",
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "bench",
      dependencies: [
        "DuetSystem", "DuetText", "DuetRuntime", "DuetEvaluation", "DuetCompressor",
        "DuetCommandLine", "Kernels",
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "tokenize", dependencies: ["DuetSystem", "DuetText", "DuetRuntime", "DuetCommandLine"],
      swiftSettings: swiftSettings),

    // MARK: - Tests

    .target(
      name: "TestSupport", dependencies: libraries, path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    // Tries files and texts by the million; `Scripts/torture` runs it.
    .executableTarget(
      name: "torture", dependencies: libraries + ["DuetCommandLine", "TestSupport"],
      path: "Tests/Torture", swiftSettings: swiftSettings),
    // These tests call C functions over pointers on every other line: marking each call `unsafe` would
    // say nothing.
    .testTarget(
      name: "KernelsTests", dependencies: ["Kernels", "DuetSystem", "DuetRuntime", "TestSupport"],
      swiftSettings: commonSettings),
    .testTarget(
      name: "RuntimeTests", dependencies: libraries + ["TestSupport"],
      swiftSettings: swiftSettings),
    // Replaces malloc in the tests that link it, to count what it is asked for.
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    .testTarget(
      name: "CompressorTests",
      dependencies: libraries + ["AllocationCounter", "DuetCompressor", "TestSupport"],
      swiftSettings: swiftSettings),
    // What a program outside the package sees: public declarations alone.
    .testTarget(
      name: "PublicAPITests",
      dependencies: ["DuetText", "DuetRuntime", "DuetEvaluation", "DuetCompressor"],
      packageAccess: false, swiftSettings: swiftSettings),
    .testTarget(
      name: "CommandLineTests", dependencies: libraries + ["DuetCommandLine", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "EndToEndTests",
      dependencies: libraries + [
        "TestSupport", "chat", "compress", "perplexity", "evaluate", "bench",
        "tokenize", "torture",
      ],
      swiftSettings: swiftSettings),
  ]
)
