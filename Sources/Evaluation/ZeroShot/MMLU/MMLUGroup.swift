/// A group of subjects of MMLU, as lm-eval groups them.
package struct MMLUGroup: Sendable {
  /// The name in results: "mmlu_social_sciences".
  package let name: String
  /// The name in tables: "social sciences".
  package let alias: String
  /// The subjects, in alphabetical order.
  package let subjects: [String]

  private init(_ name: String, _ subjects: String) {
    self.name = "mmlu_" + name
    alias = PythonText.replacing("_", with: " ", in: name)
    self.subjects = subjects.split(whereSeparator: \.isWhitespace).map(String.init)
  }

  /// The four groups, with 57 subjects.
  package static let all = [
    MMLUGroup(
      "stem",
      """
      abstract_algebra anatomy astronomy college_biology college_chemistry
      college_computer_science college_mathematics college_physics computer_security
      conceptual_physics electrical_engineering elementary_mathematics
      high_school_biology high_school_chemistry high_school_computer_science
      high_school_mathematics high_school_physics high_school_statistics
      machine_learning
      """),
    MMLUGroup(
      "other",
      """
      business_ethics clinical_knowledge college_medicine global_facts human_aging
      management marketing medical_genetics miscellaneous nutrition
      professional_accounting professional_medicine virology
      """),
    MMLUGroup(
      "social_sciences",
      """
      econometrics high_school_geography high_school_government_and_politics
      high_school_macroeconomics high_school_microeconomics high_school_psychology
      human_sexuality professional_psychology public_relations security_studies
      sociology us_foreign_policy
      """),
    MMLUGroup(
      "humanities",
      """
      formal_logic high_school_european_history high_school_us_history
      high_school_world_history international_law jurisprudence logical_fallacies
      moral_disputes moral_scenarios philosophy prehistory professional_law
      world_religions
      """),
  ]

  /// All subjects, group by group.
  package static let subjects = all.flatMap(\.subjects)
}
