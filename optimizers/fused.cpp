// One step of AdamP, SGDP or AdaRem on many dense tensors of one dtype on the CPU, with plain C linkage for ctypes.
//
// A tensor with rows > 0 may be projected: a first pass updates the state and takes four sums a row, g.w, |g|^2, |w|^2
// and w.u; they decide; a second pass descends. In between the update u waits where it stays in the cache, and is
// computed anew where it would not. Other tensors are done in one pass. Every row is summed by one thread, in blocks, in
// a fixed order: the result does not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

constexpr std::int64_t kBlock = 2048;
constexpr std::int64_t kParallel = 1 << 15;
constexpr std::int64_t kKept = 16 << 20;  // bytes
enum View { kNone = 0, kChannel = 1, kLayer = 2 };
enum Projection { kAuto = 0, kOnlyChannel = 1, kOnlyLayer = 2 };

struct Rule {
  double delta, eps, wd_ratio;
  int projection;
};

struct Sums {
  double dot = 0, grad = 0, weight = 0, along = 0;
  void add(const Sums& o) { dot += o.dot, grad += o.grad, weight += o.weight, along += o.along; }
};

double cosine(const Sums& s, double eps) {
  return std::abs(s.dot) / (std::max(std::sqrt(s.grad), eps) * std::max(std::sqrt(s.weight), eps));
}

double radial(const Sums& s, double eps) {
  const double norm = std::sqrt(s.weight) + eps;
  return s.along / (norm * norm);
}

// The view under which the weight is orthogonal to the gradient. `!(x < limit)` keeps NaN from projecting.
View decide(const std::vector<Sums>& rows, std::int64_t length, const Rule& rule, Sums& whole) {
  bool channel = rule.projection != kOnlyLayer;
  const double limit = rule.delta / std::sqrt(double(length));
  for (const Sums& row : rows) {
    if (!(cosine(row, rule.eps) < limit)) channel = false;
    whole.add(row);
  }
  if (channel) return kChannel;
  const double layer = rule.delta / std::sqrt(double(length) * double(rows.size()));
  return rule.projection != kOnlyChannel && cosine(whole, rule.eps) < layer ? kLayer : kNone;
}

// A state's `update` is free of branches, own * state + raw * g, so that every loop over it becomes vector instructions.
template <typename T>
struct Adam {
  T *__restrict mean, *__restrict square;
  T rest1, beta2, rest2, scale2, eps;  // rest = 1 - beta, in double first; scale2 = 1 / sqrt(1 - beta2^t)
  T own, raw;

  void advance(std::int64_t i, T g) const {
    mean[i] += rest1 * (g - mean[i]);
    square[i] = square[i] * beta2 + rest2 * g * g;
  }
  T update(std::int64_t i, T g) const { return (own * mean[i] + raw * g) / (std::sqrt(square[i]) * scale2 + eps); }
  T* projected() const { return nullptr; }
};

template <typename T>
struct Momentum {
  T* __restrict buffer;
  T momentum, rest;  // rest = 1 - dampening
  T own, raw;
  bool keep;  // the projection acts on the buffer too

  void advance(std::int64_t i, T g) const { buffer[i] = buffer[i] * momentum + rest * g; }
  T update(std::int64_t i, T g) const { return own * buffer[i] + raw * g; }
  T* projected() const { return keep ? buffer : nullptr; }
};

template <bool Keep, typename T, typename State>
Sums first_pass(const T* __restrict w, const T* __restrict grad, const State state, T* __restrict updates,
                std::int64_t from, std::int64_t to, T sign) {
  Sums total;
  for (std::int64_t block = from; block < to; block += kBlock) {
    const std::int64_t end = std::min(to, block + kBlock);
    T dot = 0, gg = 0, ww = 0, along = 0;
#pragma omp simd reduction(+ : dot, gg, ww, along)
    for (std::int64_t i = block; i < end; ++i) {
      const T g = sign * grad[i];
      state.advance(i, g);
      const T u = state.update(i, g);
      if (Keep) updates[i] = u;
      dot += g * w[i];
      gg += g * g;
      ww += w[i] * w[i];
      along += w[i] * u;
    }
    total.add({double(dot), double(gg), double(ww), double(along)});
  }
  return total;
}

// w <- w (1 - shrink) - size (u - part w), with the part taken from the state itself where it keeps its projection.
template <bool Keep, typename T, typename State>
void second_pass(T* __restrict w, const T* __restrict grad, const State state, const T* __restrict updates,
                 std::int64_t from, std::int64_t to, T sign, double size, double shrink, double part) {
  if (T* __restrict kept = state.projected()) {
    const T by = T(part);
#pragma omp simd
    for (std::int64_t i = from; i < to; ++i) kept[i] -= by * w[i];
    if (!Keep) part = 0;  // the update is computed from what was just projected
  }
  const T by = T(size * part - shrink), minus = T(-size);
#pragma omp simd
  for (std::int64_t i = from; i < to; ++i)
    w[i] += minus * (Keep ? updates[i] : state.update(i, sign * grad[i])) + by * w[i];
}

template <typename T, typename State>
void one_pass(T* __restrict w, const T* __restrict grad, const State state, std::int64_t from, std::int64_t to, T sign,
              double size, double shrink) {
  const T by = T(-shrink), minus = T(-size);
#pragma omp simd
  for (std::int64_t i = from; i < to; ++i) {
    const T g = sign * grad[i];
    state.advance(i, g);
    w[i] += minus * state.update(i, g) + by * w[i];
  }
}

template <bool Keep, typename T, typename State>
View projected_step(T* w, const T* grad, const State& state, T* updates, std::int64_t length, std::int64_t rows, T sign,
                    double size, double shrink, const Rule& rule, int threads) {
  std::vector<Sums> sums(rows);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && rows * length > kParallel)
  for (std::int64_t r = 0; r < rows; ++r)
    sums[r] = first_pass<Keep>(w, grad, state, updates, r * length, (r + 1) * length, sign);

  Sums whole;
  const View view = decide(sums, length, rule, whole);
  const double layer = view == kLayer ? radial(whole, rule.eps) : 0.0;
  const double decay = view == kNone ? shrink : shrink * rule.wd_ratio;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && rows * length > kParallel)
  for (std::int64_t r = 0; r < rows; ++r)
    second_pass<Keep>(w, grad, state, updates, r * length, (r + 1) * length, sign, size, decay,
                      view == kChannel ? radial(sums[r], rule.eps) : layer);
  return view;
}

template <typename T, typename State>
View step(T* w, const T* grad, const State& state, std::int64_t numel, std::int64_t rows, bool maximize, double size,
          double shrink, const Rule& rule, int threads, std::vector<T>& kept) {
  const T sign = maximize ? T(-1) : T(1);
  if (rows == 0) {
    const std::int64_t blocks = (numel + kBlock - 1) / kBlock;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && numel > kParallel)
    for (std::int64_t b = 0; b < blocks; ++b)
      one_pass<T>(w, grad, state, b * kBlock, std::min(numel, (b + 1) * kBlock), sign, size, shrink);
    return kNone;
  }
  if (numel * std::int64_t(sizeof(T)) > kKept)
    return projected_step<false, T>(w, grad, state, nullptr, numel / rows, rows, sign, size, shrink, rule, threads);
  if (std::int64_t(kept.size()) < numel) kept.resize(numel);
  return projected_step<true, T>(w, grad, state, kept.data(), numel / rows, rows, sign, size, shrink, rule, threads);
}

template <typename T>
void adamp(std::int64_t n, T** w, T** grads, T** means, T** squares, const std::int64_t* numels,
           const std::int64_t* rows, const double* steps, double* views, const double* o, int threads) {
  const double lr = o[0], beta1 = o[1], beta2 = o[2], eps = o[3], decay = o[4];
  const Rule rule{o[5], eps, o[6], int(o[7])};
  const bool nesterov = o[8] != 0;
  thread_local std::vector<T> kept;
  for (std::int64_t i = 0; i < n; ++i) {
    const Adam<T> state{means[i], squares[i], T(1 - beta1), T(beta2), T(1 - beta2),
                        T(1 / std::sqrt(1 - std::pow(beta2, steps[i]))), T(eps), nesterov ? T(beta1) : T(1),
                        nesterov ? T(1 - beta1) : T(0)};
    views[i] = step<T>(w[i], grads[i], state, numels[i], rows[i], o[9] != 0, lr / (1 - std::pow(beta1, steps[i])),
                       lr * decay, rule, threads, kept);
  }
}

template <typename T>
void sgdp(std::int64_t n, T** w, T** grads, T** buffers, const std::int64_t* numels, const std::int64_t* rows,
          double* views, const double* o, int threads) {
  const double lr = o[0], momentum = o[1], dampening = o[2], eps = o[3], decay = o[4];
  const Rule rule{o[5], eps, o[6], int(o[7])};
  const bool nesterov = o[8] != 0;
  thread_local std::vector<T> kept;
  for (std::int64_t i = 0; i < n; ++i) {
    const Momentum<T> state{buffers[i], T(momentum), T(1 - dampening), nesterov ? T(momentum) : T(1),
                            nesterov ? T(1) : T(0), o[10] != 0 && !nesterov};
    views[i] = step<T>(w[i], grads[i], state, numels[i], rows[i], o[9] != 0, lr, lr * decay / (1 - momentum), rule,
                       threads, kept);
  }
}

template <typename T>
using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// Largest magnitude, NaN if there is one: the order of floats without sign is that of their bits, NaN on top.
template <typename T>
Bits<T> largest_bits(const T* values, std::int64_t count) {
  using I = Bits<T>;
  I top = 0;
#pragma omp simd reduction(max : top)
  for (std::int64_t i = 0; i < count; ++i) {
    I bits;
    std::memcpy(&bits, values + i, sizeof(I));
    top = std::max(top, bits & std::numeric_limits<I>::max());
  }
  return top;
}

template <bool Relative, typename T>
Bits<T> adarem_pass(T* __restrict w, const T* __restrict grad, T* __restrict mean, std::int64_t count,
                                   T rate, T shrink, T damping, T rest, T eps, T largest) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const T g = grad[i], m = mean[i];
    const T with = Relative ? std::abs(g) * m / (largest + eps) : g * (g * m / (std::abs(g) * largest + eps));
    w[i] -= rate * (g + damping * with) + shrink * w[i];
    mean[i] = m + rest * (g - m);
  }
  return largest_bits(mean, count);
}

template <typename T>
void adarem(std::int64_t n, T** w, T** grads, T** means, const std::int64_t* numels, const double* rates,
            double* largest, const double* o, int threads) {
  using I = Bits<T>;
  const T shrink = T(o[0]), damping = T(o[1]), rest = T(o[2]), eps = T(o[3]);
  const auto pass = o[4] != 0 ? adarem_pass<true, T> : adarem_pass<false, T>;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t numel = numels[i], blocks = (numel + kBlock - 1) / kBlock;
    I top = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(max : top) if (threads > 1 && numel > kParallel)
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t at = b * kBlock, count = std::min(kBlock, numel - at);
      const I found = pass(w[i] + at, grads[i] + at, means[i] + at, count, T(rates[i]), shrink, damping, rest,
                           eps, T(largest[i]));
      top = std::max(top, found);
    }
    T value;
    std::memcpy(&value, &top, sizeof(T));
    largest[i] = double(value);
  }
}

}  // namespace

#define EXPORT(NAME, T)                                                                                              \
  extern "C" void adamp_##NAME(std::int64_t n, T** w, T** g, T** m, T** v, const std::int64_t* numels,               \
                               const std::int64_t* rows, const double* steps, double* views, const double* options,  \
                               int threads) {                                                                        \
    adamp<T>(n, w, g, m, v, numels, rows, steps, views, options, threads);                                           \
  }                                                                                                                  \
  extern "C" void sgdp_##NAME(std::int64_t n, T** w, T** g, T** b, const std::int64_t* numels,                       \
                              const std::int64_t* rows, double* views, const double* options, int threads) {         \
    sgdp<T>(n, w, g, b, numels, rows, views, options, threads);                                                      \
  }                                                                                                                  \
  extern "C" void adarem_##NAME(std::int64_t n, T** w, T** g, T** m, const std::int64_t* numels, const double* rates, \
                                double* largest, const double* options, int threads) {                               \
    adarem<T>(n, w, g, m, numels, rates, largest, options, threads);                                                 \
  }

EXPORT(float32, float)
EXPORT(float64, double)
