/// The finite field of q = p^k elements, with the operations that Paley's matrices need.
///
/// Element e, 0 <= e < q, is the polynomial over the integers modulo p whose coefficients are the digits
/// of e in base p, lowest first. Products are taken modulo a monic irreducible polynomial of degree k:
/// the one whose other coefficients are the digits of the smallest number. For k = 1 this is arithmetic
/// modulo p.
struct FiniteField {
  /// p, a prime.
  let characteristic: Int
  /// k.
  let degree: Int
  /// q = p^k.
  let size: Int
  /// The coefficients of the irreducible polynomial, lowest first, k + 1 of them.
  private let modulus: [Int]

  /// The field of `size` elements, or nil when `size` is no power of a prime.
  ///
  /// - Complexity: O(size * sqrt(size)) at worst, for the search.
  init?(size: Int) {
    guard let (prime, degree) = Self.primePower(size) else { return nil }
    characteristic = prime
    self.degree = degree
    self.size = size
    var lower = 0
    while !Self.isIrreducible(Self.monic(lower, degree: degree, prime), prime) { lower += 1 }
    modulus = Self.monic(lower, degree: degree, prime)
  }

  /// The p and k with p^k = `size`, p prime and k > 0, or nil.
  static func primePower(_ size: Int) -> (prime: Int, degree: Int)? {
    guard size > 1 else { return nil }
    // The smallest divisor above 1 is prime. If there is none up to the square root, the number is
    // prime.
    var prime = 2
    while prime <= size / prime && size % prime != 0 { prime += 1 }
    if size % prime != 0 { prime = size }
    var (rest, degree) = (size, 0)
    while rest % prime == 0 { (rest, degree) = (rest / prime, degree + 1) }
    return rest == 1 ? (prime, degree) : nil
  }

  /// The quadratic character of every element: 0 for zero, 1 for other squares, -1 for the rest.
  ///
  /// - Complexity: O(size * k^2).
  func quadraticCharacters() -> [Int] {
    var characters = [Int](repeating: -1, count: size)
    characters[0] = 0
    for element in 1..<size { characters[square(element)] = 1 }
    return characters
  }

  /// a - b.
  func difference(_ a: Int, _ b: Int) -> Int {
    var (a, b, weight, result) = (a, b, 1, 0)
    while weight < size {
      let digit = a % characteristic - b % characteristic
      result += (digit < 0 ? digit + characteristic : digit) * weight
      (a, b, weight) = (a / characteristic, b / characteristic, weight * characteristic)
    }
    return result
  }

  private func square(_ element: Int) -> Int {
    let factor = Self.digits(element, count: degree, characteristic)
    var product = [Int](repeating: 0, count: 2 * degree - 1)
    for (i, a) in factor.enumerated() {
      for (j, b) in factor.enumerated() {
        product[i + j] = (product[i + j] + a * b) % characteristic
      }
    }
    let rest = Self.remainder(product, by: modulus, characteristic)
    return rest.reversed().reduce(0) { $0 * characteristic + $1 }
  }

  /// Whether `polynomial` is not a product of two polynomials of lower degree.
  ///
  /// It is enough to try monic divisors of at most half its degree.
  private static func isIrreducible(_ polynomial: [Int], _ prime: Int) -> Bool {
    let degree = polynomial.count - 1
    var (divisorDegree, count) = (1, prime)
    while 2 * divisorDegree <= degree {
      for lower in 0..<count {
        let divisor = monic(lower, degree: divisorDegree, prime)
        if remainder(polynomial, by: divisor, prime).allSatisfy({ $0 == 0 }) { return false }
      }
      (divisorDegree, count) = (divisorDegree + 1, count * prime)
    }
    return true
  }

  /// The remainder of `polynomial` divided by the monic `divisor`.
  ///
  /// It has as many coefficients as the degree of the divisor.
  private static func remainder(_ polynomial: [Int], by divisor: [Int], _ prime: Int) -> [Int] {
    let degree = divisor.count - 1
    var rest = polynomial
    while rest.count > degree {
      let leading = rest.removeLast()
      for place in 0..<degree {
        let index = rest.count - degree + place
        rest[index] = (rest[index] + (prime - leading) * divisor[place]) % prime
      }
    }
    return rest
  }

  /// The monic polynomial whose other coefficients are the digits of `lower`.
  private static func monic(_ lower: Int, degree: Int, _ prime: Int) -> [Int] {
    digits(lower, count: degree, prime) + [1]
  }

  private static func digits(_ number: Int, count: Int, _ base: Int) -> [Int] {
    var rest = number
    return (0..<count).map { _ in
      defer { rest /= base }
      return rest % base
    }
  }
}
