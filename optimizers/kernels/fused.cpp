// One step of AdamP or SGDP on many dense tensors of one dtype on the CPU, with plain C linkage for ctypes.
//
// A tensor with rows > 0 may be projected. Whether it is depends on sums over each of its rows: g.w, |g|^2, |w|^2 and w.u.
// A weight hardly ever changes its view, so each row descends as under the view of the step before while it is in the
// cache, and is corrected where all sums together say otherwise: then a step moves no more bytes than AdamW's. A row whose
// step is longer than its weight waits for all sums instead, as nothing of the weight could be told from where it went.
// Under the view of the whole tensor no row can go first: a first pass updates the state and takes the sums, a second one
// descends, and in between the update u waits where it stays in the cache, and is computed anew where it would not. Other
// tensors are done in one pass. Every row is summed by one thread, in blocks, in a fixed order: the result does not depend
// on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

constexpr std::int64_t kBlock = 1024;
constexpr std::int64_t kParallel = 1 << 15;
constexpr std::int64_t kShort = 256;  // rows below this length go by the bundle: their ends would cost more than they do
constexpr std::int64_t kKept = 16 << 20;  // bytes
enum View { kNone = 0, kChannel = 1, kLayer = 2 };
enum Projection { kAuto = 0, kOnlyChannel = 1, kOnlyLayer = 2 };

struct Rule {
  double delta, eps, wd_ratio;
  int projection;
};

struct Sums {
  double dot = 0, grad = 0, weight = 0, along = 0, update = 0;
  void add(const Sums& o) {
    dot += o.dot, grad += o.grad, weight += o.weight, along += o.along, update += o.update;
  }
};

double cosine(const Sums& s, double eps) {
  return std::abs(s.dot) / (std::max(std::sqrt(s.grad), eps) * std::max(std::sqrt(s.weight), eps));
}

// Whether a weight can be told from where its step led: a longer step would leave too few of its digits there.
bool can_be_undone(const Sums& s, double size) { return size * size * s.update <= s.weight; }

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
  Adam at(std::int64_t from) const {
    Adam moved = *this;
    return moved.mean += from, moved.square += from, moved;
  }
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
  Momentum at(std::int64_t from) const {
    Momentum moved = *this;
    return moved.buffer += from, moved;
  }
};

template <bool Keep, typename T, typename State>
Sums first_pass(const T* __restrict w, const T* __restrict grad, const State state, T* __restrict updates,
                std::int64_t from, std::int64_t to, T sign) {
  Sums total;
  for (std::int64_t block = from; block < to; block += kBlock) {
    const std::int64_t end = std::min(to, block + kBlock);
    T dot = 0, gg = 0, ww = 0, along = 0, uu = 0;
#pragma omp simd reduction(+ : dot, gg, ww, along, uu)
    for (std::int64_t i = block; i < end; ++i) {
      const T g = sign * grad[i];
      state.advance(i, g);
      const T u = state.update(i, g);
      if (Keep) updates[i] = u;
      dot += g * w[i];
      gg += g * g;
      ww += w[i] * w[i];
      along += w[i] * u;
      uu += u * u;
    }
    total.add({double(dot), double(gg), double(ww), double(along), double(uu)});
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

// What a row's weight is multiplied by beside 1, and whether the row may go ahead.
struct Course {
  double part, scale;
  bool sure;
  Course(View view, const Sums& row, const Sums& whole, double size, double shrink, const Rule& rule)
      : part(view == kChannel ? radial(row, rule.eps) : view == kLayer ? radial(whole, rule.eps) : 0.0),
        scale(size * part - (view == kNone ? shrink : shrink * rule.wd_ratio)),
        sure(can_be_undone(row, size) && std::abs(1 + scale) >= 0.5 &&
             std::abs(scale) <= std::numeric_limits<double>::max()) {}
};

// Sums over a row that descends as if nothing were projected, block by block, up to one that cannot be undone.
template <typename T, typename State>
Sums sum_and_descend(T* __restrict w, const T* __restrict grad, const State state, T* __restrict before,
                     std::int64_t length, T sign, double size, double shrink, std::int64_t& gone) {
  const T by = T(-shrink), minus = T(-size);
  Sums total;
  for (std::int64_t from = 0; from < length; from += kBlock) {
    const std::int64_t end = std::min(length, from + kBlock);
    T dot = 0, gg = 0, ww = 0, along = 0, uu = 0;
#pragma omp simd reduction(+ : dot, gg, ww, along, uu)
    for (std::int64_t i = from; i < end; ++i) {
      const T g = sign * grad[i], x = w[i];
      state.advance(i, g);
      const T u = state.update(i, g);
      dot += g * x;
      gg += g * g;
      ww += x * x;
      along += x * u;
      uu += u * u;
      before[i - from] = x;
      w[i] = x + (minus * u + by * x);
    }
    const Sums block{double(dot), double(gg), double(ww), double(along), double(uu)};
    total.add(block);
    if (gone == from && can_be_undone(block, size))
      gone = end;
    else
      std::copy(before, before + (end - from), w + from);
  }
  return total;
}

// From where `went` led to where `right` leads; their difference is small, so that of the weight before it costs nothing.
template <typename T, typename State>
void correct(T* __restrict w, const T* __restrict grad, const State state, std::int64_t length, T sign, double size,
             const Course& went, const Course& right) {
  const T plus = T(size), by = T((right.scale - went.scale) / (1 + went.scale));
#pragma omp simd
  for (std::int64_t i = 0; i < length; ++i) w[i] += by * (w[i] + plus * state.update(i, sign * grad[i]));
}

template <bool Vectors, typename T>
Sums sums_of(const T* __restrict w, const T* __restrict grad, const T* __restrict updates, std::int64_t length,
             T sign) {
  T dot = 0, gg = 0, ww = 0, along = 0, uu = 0;
#pragma omp simd reduction(+ : dot, gg, ww, along, uu) if (simd : Vectors)
  for (std::int64_t i = 0; i < length; ++i) {
    dot += grad[i] * w[i];
    gg += grad[i] * grad[i];
    ww += w[i] * w[i];
    along += w[i] * updates[i];
    uu += updates[i] * updates[i];
  }
  return {double(sign * dot), double(gg), double(ww), double(along), double(uu)};
}

// The first pass over several short rows, which lie one behind the other.
template <typename T, typename State>
void first_pass_of_short_rows(const T* __restrict w, const T* __restrict grad, const State state, T* __restrict updates,
                              std::int64_t rows, std::int64_t length, T sign, Sums* sums) {
#pragma omp simd
  for (std::int64_t i = 0; i < rows * length; ++i) {
    const T g = sign * grad[i];
    state.advance(i, g);
    updates[i] = state.update(i, g);
  }
  const auto sum = length < 16 ? sums_of<false, T> : sums_of<true, T>;
  for (std::int64_t r = 0, at = 0; r < rows; ++r, at += length)
    sums[r] = sum(w + at, grad + at, updates + at, length, sign);
}

// A step whose rows go as under `guess`, none or by channel, before all of them are known.
template <typename T, typename State>
View guessed_step(T* w, const T* grad, const State& state, std::int64_t length, std::int64_t rows, T sign, double size,
                  double shrink, const Rule& rule, View guess, int threads) {
  std::vector<Sums> sums(rows);
  std::vector<std::int64_t> gone(rows);  // elements of each row
  const Sums unknown;
  const double decay = guess == kNone ? shrink : shrink * rule.wd_ratio;
  const std::int64_t together = length < kShort ? kBlock / length : 1, bundles = (rows + together - 1) / together;
#pragma omp parallel num_threads(threads) if (threads > 1 && rows * length > kParallel)
  {
    std::vector<T> updates(guess == kNone ? kBlock : together * length);
#pragma omp for schedule(static)
    for (std::int64_t b = 0; b < bundles; ++b) {
      const std::int64_t first = b * together, count = std::min(together, rows - first);
      T* const weight = w + first * length;
      const T* const gradient = grad + first * length;
      const State own = state.at(first * length);
      if (together > 1)
        first_pass_of_short_rows(weight, gradient, own, updates.data(), count, length, sign, &sums[first]);
      else if (guess == kChannel)
        sums[first] = first_pass<true>(weight, gradient, own, updates.data(), 0, length, sign);
      else
        sums[first] = sum_and_descend(weight, gradient, own, updates.data(), length, sign, size, decay, gone[first]);
      if (together == 1 && guess == kNone) continue;
      const auto undoable = [size](const Sums& row) { return can_be_undone(row, size); };
      if (guess == kNone && std::all_of(&sums[first], &sums[first] + count, undoable)) {
        second_pass<true>(weight, gradient, own, updates.data(), 0, count * length, sign, size, decay, 0.0);
        std::fill_n(&gone[first], count, length);
        continue;
      }
      for (std::int64_t r = 0; r < count; ++r) {
        const Course course(guess, sums[first + r], unknown, size, shrink, rule);
        if (!course.sure) continue;
        second_pass<true>(weight, gradient, own, updates.data(), r * length, (r + 1) * length, sign, size, decay,
                          course.part);
        gone[first + r] = length;
      }
    }
  }
  Sums whole;
  const View view = decide(sums, length, rule, whole);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && rows * length > kParallel)
  for (std::int64_t r = 0; r < rows; ++r) {
    if (view == guess && gone[r] == length) continue;
    const Course went(guess, sums[r], unknown, size, shrink, rule), right(view, sums[r], whole, size, shrink, rule);
    const State own = state.at(r * length);
    if (view != guess) correct(w + r * length, grad + r * length, own, gone[r], sign, size, went, right);
    second_pass<false>(w + r * length, grad + r * length, own, static_cast<T*>(nullptr), gone[r], length, sign, size,
                       view == kNone ? shrink : shrink * rule.wd_ratio, right.part);
  }
  return view;
}

template <typename T, typename State>
View step(T* w, const T* grad, const State& state, std::int64_t numel, std::int64_t rows, bool maximize, double size,
          double shrink, const Rule& rule, View before, int threads, std::vector<T>& kept) {
  const T sign = maximize ? T(-1) : T(1);
  if (rows == 0) {
    if (threads == 1 || numel <= kParallel) {  // a parallel region costs more than a short tensor, even of one thread
      one_pass<T>(w, grad, state, 0, numel, sign, size, shrink);
      return kNone;
    }
    const std::int64_t blocks = (numel + kBlock - 1) / kBlock;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (std::int64_t b = 0; b < blocks; ++b)
      one_pass<T>(w, grad, state, b * kBlock, std::min(numel, (b + 1) * kBlock), sign, size, shrink);
    return kNone;
  }
  const std::int64_t length = numel / rows;
  if (before != kLayer && shrink <= 0.5 && !state.projected())
    return guessed_step<T>(w, grad, state, length, rows, sign, size, shrink, rule, before, threads);
  if (numel * std::int64_t(sizeof(T)) > kKept)
    return projected_step<false, T>(w, grad, state, nullptr, length, rows, sign, size, shrink, rule, threads);
  if (std::int64_t(kept.size()) < numel) kept.resize(numel);
  return projected_step<true, T>(w, grad, state, kept.data(), length, rows, sign, size, shrink, rule, threads);
}

template <typename T>
View view_before(const T* view) { return view ? View(int(*view)) : kNone; }

template <typename T>
void keep_view(T* view, View now) {
  if (view) *view = T(now);
}

// Counts the step in *steps. A view is that of the step before, and null for tensors that are never projected.
template <typename T>
void adamp(std::int64_t n, T** w, T** means, T** squares, const std::int64_t* numels, const std::int64_t* rows,
           float** steps, T** views, T** grads, const double* o, int threads) {
  const double lr = o[0], beta1 = o[1], beta2 = o[2], eps = o[3], decay = o[4];
  const Rule rule{o[5], eps, o[6], int(o[7])};
  const bool nesterov = o[8] != 0;
  thread_local std::vector<T> kept;
  for (std::int64_t i = 0; i < n; ++i) {
    const double t = *steps[i] += 1;
    const Adam<T> state{means[i], squares[i], T(1 - beta1), T(beta2), T(1 - beta2),
                        T(1 / std::sqrt(1 - std::pow(beta2, t))), T(eps), nesterov ? T(beta1) : T(1),
                        nesterov ? T(1 - beta1) : T(0)};
    keep_view(views[i], step<T>(w[i], grads[i], state, numels[i], rows[i], o[9] != 0, lr / (1 - std::pow(beta1, t)),
                                lr * decay, rule, view_before(views[i]), threads, kept));
  }
}

template <typename T>
void sgdp(std::int64_t n, T** w, T** buffers, const std::int64_t* numels, const std::int64_t* rows, T** views,
          T** grads, const double* o, int threads) {
  const double lr = o[0], momentum = o[1], dampening = o[2], eps = o[3], decay = o[4];
  const Rule rule{o[5], eps, o[6], int(o[7])};
  const bool nesterov = o[8] != 0;
  thread_local std::vector<T> kept;
  for (std::int64_t i = 0; i < n; ++i) {
    const Momentum<T> state{buffers[i], T(momentum), T(1 - dampening), nesterov ? T(momentum) : T(1),
                            nesterov ? T(1) : T(0), o[10] != 0 && !nesterov};
    keep_view(views[i], step<T>(w[i], grads[i], state, numels[i], rows[i], o[9] != 0, lr, lr * decay / (1 - momentum),
                                rule, view_before(views[i]), threads, kept));
  }
}

}  // namespace

#define EXPORT(NAME, T)                                                                                             \
  extern "C" void adamp_##NAME(std::int64_t n, T** w, T** m, T** v, const std::int64_t* numels,                     \
                               const std::int64_t* rows, float** steps, T** views, T** g, const double* options,    \
                               int threads) {                                                                       \
    adamp<T>(n, w, m, v, numels, rows, steps, views, g, options, threads);                                          \
  }                                                                                                                 \
  extern "C" void sgdp_##NAME(std::int64_t n, T** w, T** b, const std::int64_t* numels, const std::int64_t* rows,   \
                              T** views, T** g, const double* options, int threads) {                               \
    sgdp<T>(n, w, b, numels, rows, views, g, options, threads);                                                     \
  }

EXPORT(float32, float)
EXPORT(float64, double)
