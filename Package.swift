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

let package = Package(
  name: "Duet",
  products: [
    .library(name: "DuetRuntime", targets: ["DuetRuntime"]),
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
    // The toolchain ships a module called Runtime, hence the prefix.
    .target(
      name: "DuetRuntime",
      dependencies: ["Kernels", "COpenBLAS"],
      path: "Sources/Runtime",
      swiftSettings: swiftSettings
    ),
    .target(
      name: "DuetCompressor",
      dependencies: ["DuetRuntime", "Kernels", "COpenBLAS"],
      path: "Sources/Compressor",
      swiftSettings: swiftSettings
    ),
    // "CommandLine" is the standard library's name for the process arguments.
    .target(
      name: "DuetCommandLine",
      dependencies: ["DuetRuntime"],
      path: "Sources/CommandLine",
      swiftSettings: swiftSettings
    ),

    // MARK: - Executables

    .executableTarget(
      name: "compress", dependencies: ["DuetRuntime", "DuetCompressor", "DuetCommandLine"],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "chat", dependencies: ["DuetRuntime", "DuetCommandLine"], swiftSettings: swiftSettings),
    .executableTarget(
      name: "perplexity", dependencies: ["DuetRuntime", "DuetCommandLine"],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "evaluate", dependencies: ["DuetRuntime", "DuetCommandLine"],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "bench",
      dependencies: ["DuetRuntime", "DuetCompressor", "DuetCommandLine", "Kernels"],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "tokenize", dependencies: ["DuetRuntime", "DuetCommandLine"],
      swiftSettings: swiftSettings),

    // MARK: - Tests

    .target(
      name: "TestSupport", dependencies: ["DuetRuntime"], path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    // Tries files and texts by the million; `Scripts/torture` runs it.
    .executableTarget(
      name: "torture", dependencies: ["DuetRuntime", "DuetCommandLine", "TestSupport"],
      path: "Tests/Torture", swiftSettings: swiftSettings),
    // These tests call C functions over pointers on every other line: marking each call `unsafe` would
    // say nothing.
    .testTarget(
      name: "KernelsTests", dependencies: ["Kernels", "DuetRuntime", "TestSupport"],
      swiftSettings: commonSettings),
    .testTarget(
      name: "RuntimeTests", dependencies: ["DuetRuntime", "TestSupport"],
      swiftSettings: swiftSettings),
    // Replaces malloc in the tests that link it, to count what it is asked for.
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    .testTarget(
      name: "CompressorTests",
      dependencies: ["AllocationCounter", "DuetCompressor", "DuetRuntime", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "CommandLineTests", dependencies: ["DuetCommandLine", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "DuetRuntime", "TestSupport", "chat", "compress", "perplexity", "evaluate", "bench",
        "tokenize", "torture",
      ],
      swiftSettings: swiftSettings),
  ]
)
