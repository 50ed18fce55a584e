/// The version that every executable prints and every compressed model names.
public let duetVersion = "0.1.0"
