// Runs every check for every set, best first; exits with 1 at the first that fails.
//
//   crosscheck [name ...]     the sets that must be there, in this order

#include "check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int main(int count, char **names) {
  size_t set_count;
  const kernels_set *const *sets = kernels_supported(&set_count);
  begin("supported", "list");
  require(set_count > 0, "no set at all");
  require(count == 1 || set_count == (size_t)count - 1, "%zu sets, %d expected", set_count,
          count - 1);
  const kernels_set *portable = sets[set_count - 1];
  require(strcmp(portable->name, "portable") == 0, "the last set is %s", portable->name);
  for (size_t i = 0; i < set_count; i++) {
    const kernels_set *set = sets[i];
    begin("supported", "list");
    require(count == 1 || strcmp(set->name, names[i + 1]) == 0, "set %zu is %s, expected %s", i,
            set->name, names[i + 1]);
    const clock_t start = clock();
    check_conversions(set);
    check_dense(set);
    check_elementwise(set);
    check_attention(set);
    check_hadamard(set, portable);
    check_quantization(set, portable);
    check_packed(set, portable);
    check_lattice(set, portable);
    check_rounding(set, portable);
    check_trellis_rounding(set, portable);
    check_products(set, portable);
    printf("%-12s all kernels right (%.1f s)\n", set->name,
           (double)(clock() - start) / CLOCKS_PER_SEC);
    fflush(stdout);
  }
  return 0;
}
