// One step of AdaRem on many dense tensors of one dtype on the CPU, with plain C linkage for ctypes: one pass that also
// finds the largest magnitude that the next step asks for. The result does not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace {

constexpr std::int64_t kBlock = 2048;
constexpr std::int64_t kParallel = 1 << 15;

template <typename T>
using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// Returns the largest magnitude of the new mean, NaN if there is one: the order of floats without sign is that of their
// bits, NaN on top.
template <bool Relative, typename T>
Bits<T> adarem_pass(T* __restrict w, const T* __restrict grad, T* __restrict mean, std::int64_t count, T rate, T shrink,
                    T damping, T rest, T eps, T largest) {
  using I = Bits<T>;
  I top = 0;
#pragma omp simd reduction(max : top)
  for (std::int64_t i = 0; i < count; ++i) {
    const T g = grad[i], m = mean[i], x = w[i], next = m + rest * (g - m);  // all is read before anything is written
    const T with = Relative ? std::abs(g) * m / (largest + eps) : g * (g * m / (std::abs(g) * largest + eps));
    w[i] = x - (rate * (g + damping * with) + shrink * x);
    mean[i] = next;
    I bits;
    std::memcpy(&bits, &next, sizeof(I));
    top = std::max(top, bits & std::numeric_limits<I>::max());
  }
  return top;
}

template <typename T>
void adarem(std::int64_t n, T** w, T** means, const std::int64_t* numels, const T* const* limits, T** largest, T** grads,
            const double* rates, const double* o, int threads) {
  using I = Bits<T>;
  const T shrink = T(o[0]), damping = T(o[1]), rest = T(o[2]), eps = T(o[3]);
  const auto pass = o[4] != 0 ? adarem_pass<true, T> : adarem_pass<false, T>;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t numel = numels[i];
    const T rate = T(rates[i]), limit = *limits[i];
    I top = 0;
    if (threads == 1 || numel <= kParallel) {  // a parallel region costs more than a short tensor, even of one thread
      top = pass(w[i], grads[i], means[i], numel, rate, shrink, damping, rest, eps, limit);
    } else {
      const std::int64_t blocks = (numel + kBlock - 1) / kBlock;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(max : top)
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t at = b * kBlock, count = std::min(kBlock, numel - at);
        const I found = pass(w[i] + at, grads[i] + at, means[i] + at, count, rate, shrink, damping, rest, eps, limit);
        top = std::max(top, found);
      }
    }
    std::memcpy(largest[i], &top, sizeof(T));
  }
}

}  // namespace

#define EXPORT(NAME, T)                                                                                               \
  extern "C" void adarem_##NAME(std::int64_t n, T** w, T** m, const std::int64_t* numels, const T* const* limits,     \
                                T** largest, T** g, const double* rates, const double* options, int threads) {        \
    adarem<T>(n, w, m, numels, limits, largest, g, rates, options, threads);                                          \
  }

EXPORT(float32, float)
EXPORT(float64, double)
