// A model of handcraft in the browser: it runs, and every number says where it comes from.
//
// One module for pages and notebooks. A page calls `start`; anywidget calls `render` of the default
// export. It reads what handcraft/page/data.py writes, fetches nothing, and needs no library.
//
//   1. the model    GPT-2 and Llama: `readModel`, `forward`
//   2. the meaning  what the rules say, by the nodes of a certificate: `interpret`
//   3. the prompts  which are allowed, and some or all of them: `Prompts`
//   4. the reasons  the formula of every number, and what it serves: `explain`
//   5. the page     its sections in order, each redrawn from one state

// ---------------------------------------------------------------------------------- 1. the model

const PARTS = ["query", "key", "value"];

/** The tensors of a page's data. A matrix is a list of rows; a row has places `at` and values `is`. */
export function readModel(data) {
  const isWide = data.dtype === "float64";
  const round = isWide ? (x) => x : Math.fround;
  const tensors = {};
  for (const [name, { shape, gaps, which }] of Object.entries(data.tensors)) {
    const width = shape[shape.length - 1];
    const rows = Array.from({ length: shape.length === 2 ? shape[0] : 1 }, () => ({ at: [], is: [] }));
    let place = 0;
    gaps.forEach((gap, k) => {
      place += gap;
      const row = rows[Math.floor(place / width)];
      row.at.push(place % width);
      row.is.push(round(data.values[which[k]]));
    });
    tensors[name] = { shape, rows };
  }
  const isRotary = data.architecture.frequencies !== null;
  const lead = data.begin ? 1 : 0; // tokens before the text: position p of it is row p + lead of a trace
  return { ...data, tensors, round, isRotary, lead, Floats: isWide ? Float64Array : Float32Array };
}

/**
 * The matrices of a block: for each the tensor of its weights, that of its biases if it has one, and
 * the first of its outputs in these. GPT-2 stores them [in, out], Llama [out, in].
 */
function matrices(model, b) {
  const { n_embd: width } = model.shape;
  if (!model.isRotary) {
    const of = (name, from = 0) => ({ name, weight: `h.${b}.${name}.weight`, bias: `h.${b}.${name}.bias`, from });
    return {
      query: of("attn.c_attn"),
      key: of("attn.c_attn", width),
      value: of("attn.c_attn", 2 * width),
      heads: of("attn.c_proj"),
      gate: of("mlp.c_fc"),
      units: of("mlp.c_proj"),
    };
  }
  const of = (name) => ({ name: `${name}_proj`, weight: `layers.${b}.${name}_proj.weight`, bias: null, from: 0 });
  return {
    query: of("self_attn.q"),
    key: of("self_attn.k"),
    value: of("self_attn.v"),
    heads: of("self_attn.o"),
    gate: of("mlp.gate"),
    up: of("mlp.up"),
    units: of("mlp.down"),
  };
}

/** Whether rows of a tensor are what it gives, and columns what it reads; else the other way round. */
const isOutFirst = ({ isRotary }, tensor) => tensor.startsWith("lm_head") || (isRotary && tensor.endsWith("_proj.weight"));

/** The tensors of the token embedding, and of the rows that make the logits. */
const embeddingOf = ({ isRotary }) => (isRotary ? "embed_tokens.weight" : "wte.weight");
const unembeddingOf = (model) => (model.architecture.tied ? embeddingOf(model) : "lm_head.weight");

/** The tensors with the gain and the shift of a norm, which has no shift in Llama. */
function normOf({ isRotary }, name) {
  if (!isRotary) return { gain: `${name}.weight`, shift: `${name}.bias` };
  const [, b, norm] = /^h\.(\d+)\.(.*)$/.exec(name) ?? [];
  const called = { ln_1: "input_layernorm", ln_2: "post_attention_layernorm" }[norm];
  return { gain: norm ? `layers.${b}.${called}.weight` : "norm.weight", shift: null };
}

/** How many heads share a key and a value, and the widths of a head, of all queries and of all keys. */
function widthsOf({ shape: { n_head, n_kv_head, head_dim } }) {
  return { size: head_dim, group: n_head / n_kv_head, asked: n_head * head_dim, held: n_kv_head * head_dim };
}

/** One weight; `row` is 0 in a bias. */
export function weightOf(model, tensor, row, column) {
  const { at, is } = model.tensors[tensor].rows[row];
  const k = at.indexOf(column);
  return k < 0 ? 0 : is[k];
}

/** Sets one weight, rounded to the model's dtype, and returns what it was. */
export function setWeight(model, tensor, row, column, value) {
  const before = weightOf(model, tensor, row, column);
  const { at, is } = model.tensors[tensor].rows[row];
  const k = at.indexOf(column);
  if (k < 0) {
    at.push(column);
    is.push(model.round(value));
  } else is[k] = model.round(value);
  return before;
}

/**
 * Every intermediate of one forward pass, by the names of `Trace` in Python; but the parts of a head
 * lie side by side, [position, n_head * head_dim], as the matrices have them. A Llama has queries and
 * keys before they are rotated besides. A model of values has numbers under the name "outputs",
 * [position, output], in place of logits.
 *
 * Sums run in float64, and the result of every step is rounded once, to the model's dtype.
 *
 * @param text token ids. A begin token, which the model puts before them, has the first row of every
 *   intermediate; with it they are at most n_positions.
 * @returns a Map from names to {shape, data}, with the `ids`.
 */
export function forward(model, text) {
  const { n_embd: width, n_head: heads, n_inner: inner, n_vocab: answers } = model.shape;
  const { norm, epsilon, activation, causal, scales, window } = model.architecture;
  const { tensors, Floats, round, isRotary } = model;
  const { size, group, asked, held } = widthsOf(model);
  const ids = model.begin ? [model.begin.id, ...text] : text;
  const count = ids.length;
  const trace = Object.assign(new Map(), { ids });
  const keep = (name, data, ...shape) => (trace.set(name, { shape, data }), data);
  const act = ACTIVATIONS[activation];

  /** The product with a matrix that is stored [out, in]. */
  const product = (x, from, to, tensor) => {
    const out = new Floats(count * to);
    tensors[tensor].rows.forEach(({ at, is }, t) => {
      if (!at.length) return;
      for (let p = 0; p < count; p++) {
        let sum = 0;
        for (let k = 0; k < at.length; k++) sum += x[p * from + at[k]] * is[k];
        out[p * to + t] = sum;
      }
    });
    return out;
  };
  const linear = (x, from, to, matrix) => {
    if (isRotary) return product(x, from, to, matrix.weight);
    const out = new Floats(count * to);
    const sums = new Float64Array(to);
    const { rows } = tensors[matrix.weight];
    const bias = tensors[matrix.bias].rows[0];
    for (let p = 0; p < count; p++) {
      sums.fill(0);
      for (let i = 0; i < from; i++) {
        const factor = x[p * from + i];
        if (factor === 0) continue;
        const { at, is } = rows[i];
        for (let k = 0; k < at.length; k++) sums[at[k]] += factor * is[k];
      }
      fill(sums, bias);
      out.set(sums, p * to);
    }
    return out;
  };
  const normed = (x, name) => {
    if (norm === "none") return x;
    const out = new Floats(count * width);
    const stored = normOf(model, name);
    const gain = fill(new Float64Array(width), tensors[stored.gain].rows[0]);
    if (norm === "rms") {
      for (let p = 0; p < count; p++) {
        const scale = 1 / rootMeanSquare(x, p * width, width, epsilon);
        for (let d = 0; d < width; d++) out[p * width + d] = round(x[p * width + d] * scale) * gain[d];
      }
      return keep(name, out, count, width);
    }
    const shift = fill(new Float64Array(width), tensors[stored.shift].rows[0]);
    for (let p = 0; p < count; p++) {
      const { mean, deviation } = moments(x, p * width, width, epsilon);
      for (let d = 0; d < width; d++) out[p * width + d] = ((x[p * width + d] - mean) / deviation) * gain[d] + shift[d];
    }
    return keep(name, out, count, width);
  };
  const added = (x, y) => {
    const out = new Floats(x.length);
    for (let i = 0; i < out.length; i++) out[i] = x[i] + y[i];
    return out;
  };

  /** Queries, keys and values before they are rotated: [name, numbers, width]. */
  const headParts = (x, { query, key, value }) => {
    const widths = [asked, held, held];
    if (isRotary) return [query, key, value].map((matrix, n) => [PARTS[n], linear(x, width, widths[n], matrix), widths[n]]);
    const all = linear(x, width, 3 * width, query); // all three have one matrix
    return PARTS.map((part, n) => {
      const cut = new Floats(count * width);
      for (let p = 0; p < count; p++) cut.set(all.subarray((3 * p + n) * width, (3 * p + n + 1) * width), p * width);
      return [part, cut, width];
    });
  };

  /** Queries or keys, each pair (j, j + head_dim / 2) turned by the angle of its position. */
  const turned = (name, x, wide) => {
    keep(name, x, count, wide);
    const out = new Floats(x.length);
    const half = size / 2;
    for (let p = 0; p < count; p++)
      for (let first = p * wide; first < (p + 1) * wide; first += size)
        for (let j = 0; j < half; j++) {
          const { cosine, sine } = turn(model, p, j);
          const one = x[first + j];
          const two = x[first + half + j];
          out[first + j] = round(one * cosine) - round(two * sine);
          out[first + half + j] = round(two * cosine) + round(one * sine);
        }
    return out;
  };

  let x = new Floats(count * width);
  ids.forEach((id, p) => {
    const sums = fill(new Float64Array(width), tensors[embeddingOf(model)].rows[id]);
    x.set(isRotary ? sums : fill(sums, tensors["wpe.weight"].rows[p]), p * width);
  });
  keep("embedding", x, count, width);

  for (let b = 0; b < inner.length; b++) {
    const attn = `h.${b}.attn`;
    const stored = matrices(model, b);
    const [query, key, value] = headParts(normed(x, `h.${b}.ln_1`), stored).map(([part, made, wide]) =>
      keep(`${attn}.${part}`, isRotary && part !== "value" ? turned(`${attn}.unrotated_${part}`, made, wide) : made, count, wide),
    );
    const scores = new Floats(heads * count * count);
    const pattern = new Floats(heads * count * count);
    const output = new Floats(count * asked);
    const scale = round(scales[b]);
    const used = new Int32Array(size); // channels of a head that are not 0 everywhere: first in queries
    const moved = new Int32Array(size); // and in values
    const exps = new Float64Array(count);
    const sums = new Float64Array(size);
    for (let h = 0; h < heads; h++) {
      const shared = Math.floor(h / group); // the key and the value that this head reads
      const matching = listUsed(query, used, h * size, size, asked);
      const carried = listUsed(value, moved, shared * size, size, held);
      for (let p = 0; p < count; p++) {
        const first = window ? Math.max(0, p - window + 1) : 0;
        const end = causal ? p + 1 : count;
        const row = (h * count + p) * count;
        let best = -Infinity;
        for (let s = first; s < end; s++) {
          const from = p * asked + h * size;
          const to = s * held + shared * size;
          let sum = 0;
          for (let k = 0; k < matching; k++) sum += query[from + used[k]] * key[to + used[k]];
          scores[row + s] = round(sum) * scale;
          if (scores[row + s] > best) best = scores[row + s];
        }
        let total = 0;
        for (let s = first; s < end; s++) total += exps[s] = Math.exp(scores[row + s] - best);
        sums.fill(0);
        for (let s = first; s < end; s++) {
          const share = (pattern[row + s] = round(exps[s] / total));
          const from = s * held + shared * size;
          if (share !== 0) for (let k = 0; k < carried; k++) sums[k] += share * value[from + moved[k]];
        }
        for (let k = 0; k < carried; k++) output[p * asked + h * size + moved[k]] = sums[k];
      }
    }
    keep(`${attn}.scores`, scores, heads, count, count);
    keep(`${attn}.pattern`, pattern, heads, count, count);
    keep(`${attn}.head_output`, output, count, asked);
    const written = keep(`${attn}.output`, linear(output, asked, width, stored.heads), count, width);
    x = keep(`h.${b}.after_attention`, added(x, written), count, width);
    if (inner[b]) {
      const mlp = `h.${b}.mlp`;
      const read = normed(x, `h.${b}.ln_2`);
      const before = linear(read, width, inner[b], stored.gate);
      keep(`${mlp}.pre_activation`, before, count, inner[b]);
      const up = isRotary && keep(`${mlp}.up`, linear(read, width, inner[b], stored.up), count, inner[b]);
      const hidden = keep(`${mlp}.hidden`, new Floats(before.length), count, inner[b]);
      for (let i = 0; i < hidden.length; i++) if (before[i] !== 0) hidden[i] = up ? round(act(before[i])) * up[i] : act(before[i]);
      x = added(x, keep(`${mlp}.output`, linear(hidden, inner[b], width, stored.units), count, width));
    }
    keep(`h.${b}.output`, x, count, width);
  }
  if (model.outputs) {
    keep("outputs", new Float64Array(count * model.outputs.length), count, model.outputs.length);
    for (let p = 0; p < count; p++)
      model.outputs.forEach(({ reads, constant }, k) => {
        const read = (sum, [d, factor]) => sum + x[p * width + d] * factor;
        trace.get("outputs").data[p * model.outputs.length + k] = reads.reduce(read, constant);
      });
    return trace;
  }
  x = normed(x, "ln_f");
  keep("logits", product(x, width, answers, unembeddingOf(model)), count, answers);
  return trace;
}

/** Adds a row to an array, which it returns. */
function fill(target, { at, is }) {
  for (let k = 0; k < at.length; k++) target[at[k]] += is[k];
  return target;
}

/** Lists which of the channels from `first` on are not 0 at every position, and returns how many. */
function listUsed(x, list, first, size, width) {
  let found = 0;
  for (let c = 0; c < size; c++)
    for (let place = first + c; place < x.length; place += width)
      if (x[place] !== 0) {
        list[found++] = c;
        break;
      }
  return found;
}

/** The cosine and the sine of the angle by which pair j is turned at a row of the trace. */
function turn(model, row, j) {
  model.turns ??= new Map();
  if (!model.turns.has(row))
    model.turns.set(
      row,
      model.architecture.frequencies.map((frequency) => {
        const angle = model.round(row * frequency);
        return { cosine: model.round(Math.cos(angle)), sine: model.round(Math.sin(angle)) };
      }),
    );
  return model.turns.get(row)[j];
}

/** The root of the mean square of `width` numbers from a place on. */
function rootMeanSquare(x, first, width, epsilon) {
  let squares = 0;
  for (let i = first; i < first + width; i++) squares += x[i] ** 2;
  return Math.sqrt(squares / width + epsilon);
}

/** The mean and the deviation of `width` numbers from a place on. */
function moments(x, first, width, epsilon) {
  let mean = 0;
  for (let i = first; i < first + width; i++) mean += x[i];
  mean /= width;
  let variance = 0;
  for (let i = first; i < first + width; i++) variance += (x[i] - mean) ** 2;
  return { mean, deviation: Math.sqrt(variance / width + epsilon) };
}

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  gelu_tanh: (x) => {
    if (Math.abs(x) >= 8) return Math.max(x, 0); // there both are the same in float32 and float64
    return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  },
  gelu_erf: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  silu: (x) => x / (1 + Math.exp(-x)),
};

/** The error function, by a series whose terms all have the sign of x; from 6 on it is 1. */
function erf(x) {
  if (Math.abs(x) >= 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** One number of a trace, such as at(trace, "logits", position, token). */
export function at(trace, name, ...index) {
  const { shape, data } = trace.get(name);
  return data[index.reduce((place, i, axis) => place * shape[axis] + i, 0)];
}

// -------------------------------------------------------------------------------- 2. the meaning

/** A fraction, or a whole number that is too large for exact float64. */
class Fraction {
  constructor(top, below) {
    [this.top, this.below] = [top, below];
  }
  toString() {
    return this.below === 1n ? `${this.top}` : `${this.top}/${this.below}`;
  }
}

function fraction(top, below) {
  let [a, b] = [top < 0n ? -top : top, below];
  while (b) [a, b] = [b, a % b];
  [top, below] = [top / a, below / a];
  const isSmall = below === 1n && top < 2n ** 52n && top > -(2n ** 52n);
  return isSmall ? Number(top) : new Fraction(top, below);
}

const over = (x) => (x instanceof Fraction ? [x.top, x.below] : [BigInt(Number(x)), 1n]);
const isNumber = (x) => typeof x === "number" || typeof x === "boolean";
const readValue = (x) => (x !== null && typeof x === "object" ? fraction(BigInt(x.over[0]), BigInt(x.over[1])) : x);

/** The sum x + factor y, exact. */
function plus(x, factor, y) {
  if (isNumber(x) && isNumber(factor) && isNumber(y)) {
    const sum = Number(x) + factor * Number(y);
    if (Math.abs(sum) < 2 ** 52 && Math.abs(factor * Number(y)) < 2 ** 52) return sum;
  }
  const [[a, b], [c, d], [e, f]] = [over(x), over(factor), over(y)];
  return fraction(a * d * f + c * e * b, b * d * f);
}

/** Below 0 where x is less than y, 0 where they are equal. */
function compare(x, y) {
  if (isNumber(x) && isNumber(y)) return x - y;
  const [[a, b], [c, d]] = [over(x), over(y)];
  return a * d < c * b ? -1 : Number(a * d > c * b);
}

/** A text for each value, the same for equal ones: flags are numbers, labels are not. */
const keyOf = (x) => (typeof x === "string" ? `"${x}` : isNumber(x) ? `${Number(x)}` : `${x}`);

const RELATIONS = {
  "==": (x, y) => keyOf(x) === keyOf(y),
  "!=": (x, y) => keyOf(x) !== keyOf(y),
  "<": (x, y) => compare(x, y) < 0,
  "<=": (x, y) => compare(x, y) <= 0,
  ">": (x, y) => compare(x, y) > 0,
  ">=": (x, y) => compare(x, y) >= 0,
};

/** The tables and relations of a meaning as functions, made once. */
function prepared(meaning) {
  if (meaning.ready) return meaning.ready;
  meaning.ready = meaning.nodes.map((node) => {
    if (node.op === "table") {
      const rows = new Map(
        node.rows.map((row) => [row.slice(0, -1).map(readValue).map(keyOf).join("\n"), readValue(row.at(-1))]),
      );
      return (values) => rows.get(values.map(keyOf).join("\n")) ?? readValue(node.else);
    }
    if (node.op === "aggregate")
      return node.cases.map((matches) =>
        matches.map(({ key, query, relation }) => {
          if (typeof relation === "string") return { key, query, holds: RELATIONS[relation] };
          const pairs = new Set(relation.pairs.map((pair) => pair.map(readValue).map(keyOf).join("\n")));
          return { key, query, holds: (x, y) => pairs.has(`${keyOf(x)}\n${keyOf(y)}`) };
        }),
      );
    if (node.op === "assumed" && Array.isArray(node.values)) {
      const allowed = new Set(node.values.map(readValue).map(keyOf));
      return (value) => allowed.has(keyOf(value));
    }
    if (node.op === "assumed") return (value) => isWithin(value, node.values);
    return null;
  });
  return meaning.ready;
}

function isWithin(value, { low, high, unit, parts }) {
  if (compare(value, readValue(low)) < 0 || compare(value, readValue(high)) > 0) return false;
  const [[a, b], [c, d]] = [over(value), over(readValue(unit))];
  return over(fraction(a * d, b * c < 0n ? -b * c : b * c))[1] <= BigInt(parts);
}

/**
 * What the rules mean at every position of a text: docs/certificate.md says what each node is.
 *
 * @param meaning the nodes and rules of a certificate.
 * @param tokens the text.
 * @returns `values` by node and position, undefined where the text is not allowed; and by position
 *   the rule that decides, and what it predicts: a token, or an object of probabilities. Of a model of
 *   values `rule` and `answer` are null.
 */
export function interpret(meaning, tokens) {
  const ready = prepared(meaning);
  const { causal } = meaning.contexts;
  const places = tokens.map((_, p) => p);
  const values = [];
  meaning.nodes.forEach((node, number) => {
    const here = (p, ...nodes) => nodes.map((each) => values[each][p]);
    const isMissing = (found) => found.some((value) => value === undefined);
    const value = (p) => {
      if (node.op === "token") return tokens[p];
      if (node.op === "position") return p;
      if (node.op === "constant") return readValue(node.value);
      if (node.op === "aggregate") {
        const last = causal ? p : tokens.length - 1;
        const sources = places.slice(0, last + 1).filter((s) =>
          ready[number].some((matches) =>
            matches.every(({ key, query, holds }) => {
              const [k, q] = [values[key][s], values[query][p]];
              return k !== undefined && q !== undefined && holds(k, q);
            }),
          ),
        );
        return aggregated(node, sources, values[node.value]);
      }
      const read = here(p, ...[node.of ?? [node.if, node.then, node.else]].flat());
      if (isMissing(read)) return undefined;
      if (node.op === "table") return ready[number](read);
      if (node.op === "sum")
        return read.reduce((sum, x, k) => plus(sum, readValue(node.factors[k]), x), readValue(node.constant));
      if (node.op === "at_least") return compare(read[0], readValue(node.bound)) >= 0;
      if (node.op === "choice") return read[0] ? read[1] : read[2];
      return ready[number](read[0]) ? read[0] : undefined; // assumed
    };
    values.push(places.map(value));
  });
  const assumed = values.filter((_, number) => meaning.nodes[number].op === "assumed");
  const isOutside = (p) => assumed.some((each) => each[p] === undefined);
  const { rules } = meaning.answer;
  if (!rules) {
    const roots = meaning.answer.values.map(({ node }) => values[node]);
    const isBroken = places.map((p) => isOutside(p) || roots.some((each) => each[p] === undefined));
    return { values, rule: null, answer: null, isBroken };
  }
  const rule = places.map((p) => rules.findIndex((each) => each.if === null || values[each.if][p]));
  const answer = places.map((p) => rules[rule[p]].probabilities ?? values[rules[rule[p]].token][p]);
  const isBroken = places.map((p) => isOutside(p) || answer[p] === undefined);
  return { values, rule, answer, isBroken };
}

function aggregated(node, sources, read) {
  if (node.how === "count") return sources.length;
  if (node.how === "exists") return sources.length > 0;
  if (!sources.length) return node.default === null ? undefined : readValue(node.default);
  if (node.how === "latest") return read[sources.at(-1)];
  if (node.how === "earliest") return read[sources[0]];
  if (sources.some((s) => read[s] === undefined)) return undefined;
  const [top, below] = over(sources.reduce((sum, s) => plus(sum, 1, read[s]), 0));
  return fraction(top, below * BigInt(sources.length));
}

/** The tokens that are right: the one that is meant, or the most likely ones. */
export function rightTokens(answer) {
  if (typeof answer === "string") return [answer];
  const shares = Object.entries(answer ?? {}).map(([token, share]) => [token, readValue(share)]);
  const best = shares.reduce((most, [, share]) => (compare(share, most) > 0 ? share : most), 0);
  return shares.filter(([, share]) => compare(share, best) === 0).map(([token]) => token);
}

/**
 * The value that a number of the residual stream stands for: the nearest one that the output can have.
 * Where a tolerance allows more than half of their difference, it is the number itself.
 */
export function valueOfNumber({ exact, values, numbers, unit, parts }, number) {
  if (!exact || !Number.isFinite(number)) return number;
  if (numbers) {
    const off = numbers.map((each) => Math.abs(each - number));
    return readValue(values[off.indexOf(Math.min(...off))]);
  }
  if (values) return values[Math.min(Math.max(Math.round(number), 0), values.length - 1)];
  const [top, below] = over(readValue(unit));
  const [above, under] = nearestFraction((number * Number(below)) / Number(top), parts);
  return fraction(BigInt(above) * top, BigInt(under) * below);
}

/** The fraction nearest to a number, of those with denominators up to `most`: by continued fractions. */
function nearestFraction(number, most) {
  let [before, last] = [[0, 1], [1, 0]];
  for (let rest = number; ; ) {
    const whole = Math.floor(rest);
    const next = [before[0] + whole * last[0], before[1] + whole * last[1]];
    if (next[1] > most) break;
    [before, last] = [last, next];
    if (rest - whole < 1e-12) return last;
    rest = 1 / (rest - whole);
  }
  const steps = Math.floor((most - before[1]) / last[1]);
  const between = [before[0] + steps * last[0], before[1] + steps * last[1]];
  const off = ([top, below]) => Math.abs(number - top / below);
  return off(last) <= off(between) ? last : between;
}

/** The value that an output has where the expressions mean it; `stored` is the number that stands for it. */
function valueMeant({ values, numbers }, stored) {
  return values && !numbers ? values[Number(stored)] : stored;
}

/** Whether a number stands for the value that is meant. */
export function standsFor(output, number, stored) {
  if (output.exact) return keyOf(valueOfNumber(output, number)) === keyOf(valueMeant(output, stored));
  const [top, below] = over(stored);
  return Math.abs(number - Number(top) / Number(below)) <= output.within;
}

// -------------------------------------------------------------------------------- 3. the prompts

/** The prompts that an automaton of a certificate allows, as places in the vocabulary. */
export class Prompts {
  constructor({ kinds, next, final, length, writes }) {
    Object.assign(this, { kinds, next, final, writes, longest: length - writes + 1 });
  }

  /** Whether a text is an input. */
  allows(places) {
    let state = 0;
    for (const place of places) {
      state = this.next[state][this.kinds[place]];
      if (state < 0) return false;
    }
    return places.length <= this.longest && this.final[state];
  }

  /** ways[n][state]: how many texts of n further tokens end in a final state. */
  get ways() {
    if (this.counted) return this.counted;
    const sizes = [];
    this.kinds.forEach((kind) => (sizes[kind] = (sizes[kind] ?? 0) + 1));
    const ways = [this.final.map(Number)];
    for (let n = 1; n <= this.longest; n++)
      ways.push(
        this.next.map((row) =>
          row.reduce((sum, to, kind) => sum + (to < 0 ? 0 : Math.min(1e300, (sizes[kind] ?? 0) * ways[n - 1][to])), 0),
        ),
      );
    return (this.counted = ways);
  }

  /** How many inputs there are. */
  get total() {
    return this.ways.slice(1).reduce((sum, each) => sum + each[0], 0);
  }

  /** All inputs, shortest first; or, where there are more than `most`, so many at random. */
  some(most, random = generator(0)) {
    const lengths = this.ways.map((each, n) => (n && each[0] ? n : 0)).filter(Boolean);
    if (this.total <= most) return lengths.flatMap((n) => this.every(n));
    return Array.from({ length: most }, (_, k) => this.draw(lengths[k % lengths.length], random));
  }

  /** Every input of n tokens. */
  every(n) {
    let begun = [[[], 0]];
    for (let left = n - 1; left >= 0; left--)
      begun = begun.flatMap(([places, state]) =>
        this.kinds.flatMap((kind, place) => {
          const to = this.next[state][kind];
          return to >= 0 && this.ways[left][to] ? [[[...places, place], to]] : [];
        }),
      );
    return begun.map(([places]) => places);
  }

  /** One input of n tokens, each as likely as any other. */
  draw(n, random) {
    const places = [];
    let state = 0;
    for (let left = n - 1; left >= 0; left--) {
      const shares = this.kinds.map((kind) => {
        const to = this.next[state][kind];
        return to < 0 ? 0 : this.ways[left][to];
      });
      let drawn = random() * shares.reduce((sum, share) => sum + share, 0);
      let place = shares.findIndex((share) => (drawn -= share) < 0);
      if (place < 0) place = shares.findLastIndex((share) => share > 0);
      places.push(place);
      state = this.next[state][this.kinds[place]];
    }
    return places;
  }
}

/** Numbers from 0 to 1 that look random, always the same ones (mulberry32). */
export function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

// -------------------------------------------------------------------------------- 4. the reasons

/** What a row (axis 0) or a column (axis 1) of a tensor stands for, as AxisNames; a bias has columns only. */
export function axisName(model, tensor, axis, i) {
  const { n_embd: width } = model.shape;
  if (/^(wte|lm_head|embed_tokens)/.test(tensor) && axis === 0) {
    if (model.ids.includes(i)) return `token '${tokenOf(model, i)}'`;
    return i === model.begin?.id && tensor === embeddingOf(model) ? `begin token '${model.begin.name}'` : "no token";
  }
  if (tensor.startsWith("wpe") && axis === 0) return `position ${i}`;
  const [, block, kind, part] = /^(?:h|layers)\.(\d+)\.(attn|self_attn|mlp)\.(.*)\.\w+$/.exec(tensor) ?? [];
  const isOut = axis === (isOutFirst(model, tensor) ? 0 : 1); // whether this axis counts what the matrix gives
  if (kind === "attn" && part === "c_attn" && isOut) return channelName(PARTS[Math.floor(i / width)], i % width);
  if (kind === "self_attn" && isOut && part !== "o_proj") return channelName(PARTS["qkv".indexOf(part[0])], i);
  if (/attn$/.test(kind) && /^(c|o)_proj$/.test(part) && !isOut) return channelName("output", i);
  if (kind === "mlp" && isOut !== /^(c|down)_proj$/.test(part)) {
    if (!model.names) return `hidden unit ${i}`;
    const name = model.names.blocks[block]?.units[i];
    return name ? `hidden unit: ${name}` : "hidden unit, unused";
  }
  return model.names?.stream[i] ?? `dimension ${i}`;

  function channelName(part, channel) {
    const { size, group } = widthsOf(model);
    const called = part === "output" ? "value" : part; // a head gives out what it is given
    const number = Math.floor(channel / size);
    const shared = part === "key" || part === "value" ? group : 1; // heads that have this one
    if (!model.names) {
      const heads = shared > 1 ? `heads ${number * group} to ${number * group + group - 1}` : `head ${number}`;
      return `${called} of ${heads}, channel ${channel % size}`;
    }
    const heads = model.names.blocks[block]?.heads.slice(number * shared, (number + 1) * shared) ?? [];
    if (!heads.length) return `${called} of an unused head`;
    const stored = heads[0][called === "value" ? "carried" : "matching"][channel % size];
    return `${called} of the head ${heads.map(({ name }) => `\`${name}\``).join(", ")}: ${stored || "unused"}`;
  }
}

const headName = (model, block, head) => model.names?.blocks[block]?.heads[head]?.name ?? `${head}`;
const unitName = (model, block, i) => model.names?.blocks[block]?.units[i] ?? `hidden unit ${i}`;
const tokenOf = (model, id) => {
  if (id === model.begin?.id) return model.begin.name;
  const place = model.ids.indexOf(id);
  return place < 0 ? `<${id}>` : model.tokens[place];
};
/** A row of a trace in words: a position, or the begin token before the first one. */
const placeName = ({ lead }, row) => (row < lead ? "the begin token" : `position ${row - lead}`);

/** The origins that a weight serves: [what, place, line in the file that is shown]. */
export function originsOf(model, tensor, row, column) {
  model.runs ??= {};
  const runs = (model.runs[tensor] ??= runsByRow(model, tensor)).get(row) ?? [];
  const run = runs.find(([first, length]) => first <= column && column < first + length);
  return run ? model.lists[run[2]].map((n) => model.origins[n]) : [];
}

function runsByRow(model, tensor) {
  const isBias = model.tensors[tensor].shape.length === 1;
  const rows = new Map();
  for (const run of model.served[tensor] ?? []) {
    const row = isBias ? 0 : run[0];
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push(run.slice(-3));
  }
  return rows;
}

const refOf = (name, ...index) => `${name}@${index.join(",")}`;
const readRef = (ref) => {
  const [name, index] = ref.split("@");
  return [name, index.split(",").map(Number)];
};

/**
 * Why a number is what it is.
 *
 * @param ref a weight or an intermediate and its index, as in "wte.weight@0,1" or "logits@2,0".
 * @returns its value, its formula, the terms of it that are not 0, and the origins of their weights.
 */
export function explain(model, trace, ref) {
  const [name, index] = readRef(ref);
  if (model.tensors[name]) return explainWeight(model, name, index);
  const { shape } = trace.get(name);
  const { n_embd: width } = model.shape;
  const { size, group } = widthsOf(model);
  const [, b, part] = /^h\.(\d+)\.(.*)$/.exec(name) ?? [null, 0, name];
  const value = at(trace, name, ...index);
  const p = index[shape.length - 2];
  const i = index[shape.length - 1];
  const stream = (d) => model.names?.stream[d] ?? `dimension ${d}`;
  const before = +b ? `h.${b - 1}.output` : "embedding";
  const found = (title, formula, terms, note = "") => ({ title, value, formula, terms, note });
  const term = (label, source, ...places) => ({
    label,
    value: at(trace, source, ...places),
    refs: [refOf(source, ...places)],
  });
  const weight = (tensor, row, column) => {
    const isBias = model.tensors[tensor].shape.length === 1;
    return {
      label: isBias ? "bias" : axisName(model, tensor, 0, row),
      value: weightOf(model, tensor, row, column),
      refs: [isBias ? refOf(tensor, column) : refOf(tensor, row, column)],
    };
  };
  const stored = matrices(model, b);
  const linear = (source, { weight: tensor, bias, from }, output) => {
    const row = p * trace.get(source).shape[1];
    const { data } = trace.get(source);
    const isRow = isOutFirst(model, tensor);
    const places = isRow ? model.tensors[tensor].rows[output].at : model.tensors[tensor].rows.map((_, r) => r);
    const terms = places.flatMap((input) => {
      const index = isRow ? [output, input] : [input, output + from];
      const factor = weightOf(model, tensor, ...index);
      if (!factor || !data[row + input]) return [];
      const refs = [refOf(source, p, input), refOf(tensor, ...index)];
      return [{ label: axisName(model, tensor, Number(isRow), input), value: factor * data[row + input], refs }];
    });
    const last = bias && weight(bias, 0, output + from);
    return last?.value ? [...terms, last] : terms;
  };
  const times = ({ name, bias }) => `times ${name.replace(/^.*\./, "")}${bias ? ", + bias" : ""}`;
  const output = ({ weight: tensor, from }, each) =>
    axisName(model, tensor, isOutFirst(model, tensor) ? 0 : 1, from + each);
  const input = (norm, source) => (model.architecture.norm === "none" ? source : norm);
  const normed = (norm, source) => {
    const { data } = trace.get(source);
    const { gain, shift } = normOf(model, norm);
    const { epsilon } = model.architecture;
    if (model.architecture.norm === "rms") {
      const terms = [
        term("x, the stream before", source, p, i),
        { label: "root mean square of the stream", value: rootMeanSquare(data, p * width, width, epsilon), refs: [] },
        { ...weight(gain, 0, i), label: "gain" },
      ];
      return found(`${norm}, ${stream(i)}`, "x / root mean square * gain", terms);
    }
    const { mean, deviation } = moments(data, p * width, width, epsilon);
    const terms = [
      term("x, the stream before", source, p, i),
      { label: "mean of the stream", value: mean, refs: [] },
      { label: "deviation of the stream", value: deviation, refs: [] },
      { ...weight(gain, 0, i), label: "gain" },
      { ...weight(shift, 0, i), label: "shift" },
    ];
    return found(`${norm}, ${stream(i)}`, "(x - mean) / deviation * gain + shift", terms);
  };
  if (name === "embedding") {
    const row = weight(embeddingOf(model), trace.ids[p], i);
    if (model.isRotary) return found(`embedding, ${stream(i)}`, "the row of the token in embed_tokens", [row]);
    const terms = [row, weight("wpe.weight", p, i)];
    return found(`embedding, ${stream(i)}`, "wte of the token + wpe of the position", terms);
  }
  if (name === "logits") {
    const last = model.shape.n_inner.length - 1;
    const source = input("ln_f", last < 0 ? "embedding" : `h.${last}.output`);
    const tensor = unembeddingOf(model);
    const { at: columns, is } = model.tensors[tensor].rows[i];
    const terms = columns.map((d, k) => ({
      label: stream(d),
      value: at(trace, source, p, d) * is[k],
      refs: [refOf(source, p, d), refOf(tensor, i, d)],
    }));
    const title = `logit of ${tokenOf(model, i)}`;
    return found(title, "the sum of the stream times the unembedding", nonzero(terms));
  }
  if (name === "outputs") {
    const { name: title, reads, constant } = model.outputs[i];
    const source = `h.${model.shape.n_inner.length - 1}.output`;
    const terms = reads.map(([d, factor]) => ({
      label: factor === 1 ? stream(d) : `${stream(d)}, times ${show(factor)}`,
      value: at(trace, source, p, d) * factor,
      refs: [refOf(source, p, d)],
    }));
    if (constant) terms.push({ label: "constant", value: constant, refs: [] });
    const known = valueOfNumber(model.outputs[i], value);
    const note = model.outputs[i].exact ? `The nearest value is ${show(known)}.` : "";
    return found(`the number of ${title}`, "the sum of the stream times factors", nonzero(terms), note);
  }
  if (name === "ln_f") {
    const last = model.shape.n_inner.length - 1;
    return normed("ln_f", last < 0 ? "embedding" : `h.${last}.output`);
  }
  if (part === "ln_1") return normed(name, before);
  if (part === "ln_2") return normed(name, `h.${b}.after_attention`);
  if (part === "after_attention") {
    const terms = [term("the stream before", before, p, i), term("attention adds", `h.${b}.attn.output`, p, i)];
    return found(`${stream(i)}, after the heads of block ${b}`, "before + what the heads add", terms);
  }
  if (part === "output") {
    const terms = [term("after the heads", `h.${b}.after_attention`, p, i)];
    if (model.shape.n_inner[b]) terms.push(term("the MLP adds", `h.${b}.mlp.output`, p, i));
    return found(`${stream(i)}, after block ${b}`, "before + what the neurons add", terms);
  }
  if (part === "attn.output")
    return found(
      `what the heads of block ${b} add to ${stream(i)}`,
      `the sum of head outputs ${times(stored.heads)}`,
      linear(`h.${b}.attn.head_output`, stored.heads, i),
    );
  const source = (s) => `${placeName(model, s)}, ${tokenOf(model, trace.ids[s])}`;
  if (part === "attn.head_output") {
    const h = Math.floor(i / size);
    const channel = Math.floor(h / group) * size + (i % size); // of the value that the head reads
    const terms = Array.from({ length: shape[0] }, (_, s) => ({
      label: source(s),
      value: at(trace, `h.${b}.attn.pattern`, h, p, s) * at(trace, `h.${b}.attn.value`, s, channel),
      refs: [refOf(`h.${b}.attn.pattern`, h, p, s), refOf(`h.${b}.attn.value`, s, channel)],
    }));
    const tensor = stored.heads.weight;
    const title = axisName(model, tensor, isOutFirst(model, tensor) ? 1 : 0, i);
    return found(`output, ${title}`, "the sum of the pattern times the value", nonzero(terms));
  }
  if (part === "attn.pattern") {
    const { causal, window } = model.architecture;
    const terms = Array.from({ length: shape[2] }, (_, s) => ({
      label: source(s),
      value: at(trace, name, index[0], p, s),
      refs: [refOf(`h.${b}.attn.scores`, index[0], p, s)],
    })).filter((_, s) => (s <= p || !causal) && (!window || s > p - window));
    const looks = model.names?.blocks[b]?.heads[index[0]]?.looksAt;
    return found(
      `where head ${headName(model, b, index[0])} attends from ${placeName(model, p)}`,
      "softmax of the scores: exp(score - best) / their sum",
      terms,
      looks ? `It attends to: ${looks}.` : "",
    );
  }
  if (part === "attn.scores") {
    const [h, , s] = index;
    const scale = model.architecture.scales[b];
    const shift = (h - Math.floor(h / group)) * size; // from the channels of a query to those of its key
    const terms = Array.from({ length: size }, (_, c) => h * size + c).map((c) => ({
      label: output(stored.query, c).replace(/^query/, "query times key"),
      value: at(trace, `h.${b}.attn.query`, p, c) * at(trace, `h.${b}.attn.key`, s, c - shift) * scale,
      refs: [refOf(`h.${b}.attn.query`, p, c), refOf(`h.${b}.attn.key`, s, c - shift)],
    }));
    const title = `score of ${placeName(model, s)} from ${placeName(model, p)}, head ${headName(model, b, h)}`;
    return found(title, `the sum of query times key, times ${show(scale)}`, nonzero(terms));
  }
  const [, isUnrotated, third] = /^attn\.(unrotated_)?(query|key|value)$/.exec(part) ?? [];
  if (third && (isUnrotated || third === "value" || !model.isRotary))
    return found(
      `${output(stored[third], i)}${isUnrotated ? ", before the rotation" : ""}`,
      `the sum of the stream ${times(stored[third])}`,
      linear(input(`h.${b}.ln_1`, before), stored[third], i),
    );
  if (third) return rotated();
  const unit = output(stored.gate, i);
  const read = input(`h.${b}.ln_2`, `h.${b}.after_attention`);
  if (part === "mlp.pre_activation")
    return found(
      `${model.isRotary ? "gate" : "sum"} of ${unit}`,
      `the sum of the stream ${times(stored.gate)}`,
      linear(read, stored.gate, i),
    );
  if (part === "mlp.up")
    return found(`factor of ${unit}`, `the sum of the stream ${times(stored.up)}`, linear(read, stored.up, i));
  if (part === "mlp.hidden") {
    const { activation } = model.architecture;
    const sum = term(model.isRotary ? "its gate" : "its sum", `h.${b}.mlp.pre_activation`, p, i);
    if (!model.isRotary) return found(unit, `${activation} of its sum`, [sum]);
    return found(unit, `${activation} of its gate, times its factor`, [sum, term("its factor", `h.${b}.mlp.up`, p, i)]);
  }
  return found(
    `what the neurons of block ${b} add to ${stream(i)}`,
    `the sum of hidden units ${times(stored.units)}`,
    linear(`h.${b}.mlp.hidden`, stored.units, i),
  );

  /** A channel of a query or a key, which the position turns together with another one. */
  function rotated() {
    const [half, channel] = [size / 2, i % size];
    const { cosine, sine } = turn(model, p, channel % half);
    const partner = channel < half ? i + half : i - half;
    const from = `h.${b}.attn.unrotated_${third}`;
    const part = (label, place, factor) => ({
      label: `${label}, times ${show(factor)}`,
      value: at(trace, from, p, place) * factor,
      refs: [refOf(from, p, place)],
    });
    const terms = [part("itself before", i, cosine), part("its partner before", partner, channel < half ? -sine : sine)];
    const angle = model.round(p * model.architecture.frequencies[channel % half]);
    const note = `The angle is ${show(angle)}: ${p} times frequency ${channel % half}.`;
    return found(output(stored[third], i), "the pair turned: itself * cosine + its partner * \u00b1sine", nonzero(terms), note);
  }
}

const nonzero = (terms) => terms.filter(({ value }) => value !== 0);

function explainWeight(model, tensor, index) {
  const [row, column] = index.length === 1 ? [0, index[0]] : index;
  const names = index.length === 1 ? [] : [`row ${row}: ${axisName(model, tensor, 0, row)}`];
  return {
    title: `${tensor}[${index.join(", ")}]`,
    value: weightOf(model, tensor, row, column),
    formula: [...names, `column ${column}: ${axisName(model, tensor, 1, column)}`].join("; "),
    terms: [],
    note: "",
    weight: { tensor, row, column },
    origins: originsOf(model, tensor, row, column),
  };
}

/** The origins of all weights among the terms of an explanation, each once. */
function servedBy(model, explained) {
  if (explained.origins) return explained.origins;
  const refs = explained.terms.flatMap((term) => term.refs).map(readRef);
  const found = refs
    .filter(([name]) => model.tensors[name])
    .flatMap(([name, index]) => originsOf(model, name, index.length === 1 ? 0 : index[0], index.at(-1)));
  return [...new Set(found)];
}

/** A number as text: whole ones in full, others with four digits. */
export function show(x) {
  if (x === true) return "yes";
  if (x === false) return "no";
  if (typeof x !== "number") return `${x}`;
  return Number.isInteger(x) && Math.abs(x) < 1e7 ? `${x}` : `${+x.toPrecision(4)}`;
}

// ------------------------------------------------------------------------------------ 5. the page

const MOST_PROMPTS = 4000; // that are tried after a weight is edited
const MOST_SECONDS = 20; // for which they are tried
const MOST_ROWS = 40; // of a table, until all are asked for
const MOST_COLUMNS = 48; // of positions that a table shows
const FOCUSED = "button, input, select, summary, [tabindex]"; // what can have the focus

/**
 * An element. `tag` may name classes, as in "p.note"; attributes may come first, of which functions
 * listen to events; children are elements, texts and lists of them.
 */
function el(tag, ...children) {
  const dot = tag.indexOf(".");
  const made = document.createElement(dot < 0 ? tag : tag.slice(0, dot));
  if (dot >= 0) made.className = tag.slice(dot + 1).replaceAll(".", " ");
  const [given] = children;
  if (given == null || Object.getPrototypeOf(given) !== Object.prototype) return add(made, children);
  for (const key in given) {
    const value = given[key];
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key.startsWith("aria-")) made.setAttribute(key, value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  return add(made, children.slice(1));
}

/** Adds children to an element; nothing stands for what is null, false or "". */
function add(made, children) {
  for (const child of children)
    if (Array.isArray(child)) add(made, child);
    else if (child != null && child !== false && child !== "") made.append(child);
  return made;
}

/** Replaces what an element contains. */
function put(made, ...children) {
  made.replaceChildren();
  return add(made, children);
}

/** Calls a function with an element when it is first laid out on the screen, where its sizes are known. */
function onceShown(box, act) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    act(box);
  });
  observer.observe(box);
}

/** A row of a table, headed by its first cell. */
const line = (head, ...cells) =>
  el(
    "tr",
    el("th", { scope: "row" }, head),
    cells.map((cell) => el("td", cell)),
  );

const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const button = (label, click, attributes = {}) => el("button", { type: "button", click, ...attributes }, label);

/** The page in an element. `text` is the data as JSON. */
export function start(text, root) {
  const data = JSON.parse(text);
  const model = readModel(data);
  const meaning = data.meaning;
  const prompts = new Prompts(
    meaning?.contexts ?? {
      kinds: data.tokens.map(() => 0),
      next: [[1], [1]],
      final: [false, true],
      length: Math.min(data.context, 8),
      writes: 1,
    },
  );
  const state = { text: "", other: "", place: 0, block: 0, ref: null, edits: [], all: {}, stored: false, output: 0 };

  // What a prompt gives: its tokens, the model's trace and answers, and what the rules mean.
  const split = (text) => (data.separator ? text.split(/\s+/).filter(Boolean) : [...text]);
  const join = (tokens) => tokens.join(data.separator);
  const placeOf = new Map(data.tokens.map((token, place) => [token, place]));
  const { lead } = model;
  const longest = data.shape.n_positions - lead;
  const { outputs } = data; // of a model of values, else null
  const rowOf = (p) => p + lead; // of a trace; the begin token is position -1

  function run(text) {
    const written = split(text);
    const unknown = written.findIndex((token) => !placeOf.has(token));
    if (unknown >= 0)
      return { problem: `${written[unknown]} is not a token. Use ${data.tokens.slice(0, 30).join(" ")}` };
    if (!written.length) return { problem: "Type at least one token." };
    if (outputs && written.length > data.context)
      return { problem: `This text has ${written.length} tokens. The expressions are made for up to ${data.context}.` };
    const tokens = written.slice(-longest);
    const ids = tokens.map((token) => data.ids[placeOf.get(token)]);
    const trace = forward(model, ids);
    const isStated =
      (written.length <= longest || data.seesLast) && (tokens.length <= data.context || data.widens);
    const meant = meaning && isStated ? interpret(meaning, tokens) : null;
    return {
      tokens,
      trace,
      answers: outputs ? null : tokens.map((_, p) => ranked(trace, p)),
      computed: outputs && tokens.map((_, p) => outputs.map((each, k) => valueOfNumber(each, numberOf(trace, p, k)))),
      meant,
      count: written.length,
    };
  }

  /** The value of an output that is meant at a position; undefined where that is not known. */
  const meantBy = ({ meant }, k, p) =>
    meant && !meant.isBroken[p] ? valueMeant(outputs[k], meant.values[meaning.answer.values[k].node][p]) : undefined;

  /** Whether the model stores the value that is meant; null where nothing is. */
  const isStored = ({ meant, trace }, k, p) =>
    meant && !meant.isBroken[p]
      ? standsFor(outputs[k], numberOf(trace, p, k), meant.values[meaning.answer.values[k].node][p])
      : null;

  /** The number of an output at a position. */
  const numberOf = (trace, p, k) => at(trace, "outputs", rowOf(p), k);

  /** The logits at a position, best first: [id, logit]. */
  function ranked(trace, p) {
    const { shape, data: logits } = trace.get("logits");
    const first = rowOf(p) * shape[1];
    const all = Array.from(logits.subarray(first, first + shape[1]), (logit, id) => [id, logit]);
    return all.sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  }

  const bestOf = (answers, p) => tokenOf(model, answers[p][0][0]);
  const isRight = (result, p) => {
    if (!result.meant || result.meant.isBroken[p]) return null;
    return rightTokens(result.meant.answer[p]).includes(bestOf(result.answers, p));
  };

  /** Whether the rules say something after the first tokens of a text, up to position p. */
  function isPromised(result, p) {
    if (!result.meant || result.meant.isBroken.slice(0, p + 1).some(Boolean)) return false;
    if (data.widens) return true;
    const places = result.tokens.slice(0, p + 1).map((token) => placeOf.get(token));
    if (outputs) return prompts.allows(places);
    for (let input = p + 1; input > Math.max(0, p + 1 - prompts.writes); input--) {
      if (prompts.allows(places.slice(0, input))) return true;
      if (!rightTokens(result.meant.answer[input - 2]).includes(result.tokens[input - 1])) return false;
    }
    return false;
  }

  // ------------------------------------------------------------------ the sections, in their order
  const sections = {};
  const section = (key, title, ...children) => {
    const heading = el("h2", { id: `${key}-title` }, title);
    sections[key] = el("div.body");
    return el("section", { class: key, "aria-labelledby": `${key}-title` }, heading, ...children, sections[key]);
  };
  const field = el("input.prompt", {
    id: "prompt",
    type: "text",
    spellcheck: "false",
    autocomplete: "off",
    autocapitalize: "off",
    input: () => choose({ text: field.value, place: Infinity }),
  });
  const other = el("input.prompt", {
    id: "other",
    type: "text",
    spellcheck: "false",
    autocomplete: "off",
    autocapitalize: "off",
    input: () => choose({ other: other.value }),
  });
  const drawer = el("aside.drawer", { "aria-label": "The selected number", "aria-live": "polite", hidden: true });
  const { shape, architecture } = data;
  const size = [
    count(shape.n_inner.length, "block"),
    `${count(shape.n_head, "head")} each${shape.n_kv_head < shape.n_head ? `, ${shape.n_kv_head} of keys and values` : ""}`,
    `width ${shape.n_embd}`,
    count(data.parameters, "parameter"),
    `${data.values.length.toLocaleString("en")} different values`,
  ].join(", ");
  const container = el(
    "div.hc",
    el("header", el("h1", data.title), el("p", `${architecture.name}: ${size}`)),
    section("answer", data.outputs ? "A text and its values" : "A prompt and its answer", el("label", { for: "prompt" }, "Prompt"), field),
    section("rules", data.outputs ? "The expressions" : "The rules that fired"),
    section("flow", data.outputs ? "Where the values come from" : "Where the answer comes from"),
    section("proof", "Margin and proof"),
    section("break", "Break a weight"),
    section("steps", "Step by step"),
    section("compare", "Compare two prompts", el("label", { for: "other" }, "Another prompt"), other),
    drawer,
  );
  put(root, container);
  container.addEventListener("click", (event) => {
    const ref = event.target.closest?.("[data-ref]")?.dataset.ref;
    if (ref) choose({ ref });
  });
  container.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.ref) choose({ ref: null });
  });

  let result = null; // of the prompt, by the model as it is edited

  /** Changes the state and redraws what shows it; what replaces the element with the focus gets it. */
  function choose(change) {
    const held = root.getRootNode().activeElement;
    const home = held?.closest?.(".hc section, .hc aside");
    const order = home ? [...home.querySelectorAll(FOCUSED)].indexOf(held) : -1;
    redraw(change);
    if (order >= 0 && !held.isConnected)
      home.querySelectorAll(FOCUSED)[home === drawer ? 0 : order]?.focus({ preventScroll: true });
  }

  function redraw(change) {
    const isNew = "text" in change || "edits" in change || result === null;
    Object.assign(state, change);
    if (isNew) {
      const found = run(state.text);
      if (!found.problem || !result) result = found;
      if (!found.problem) clampPlace();
      sections.answer.classList.toggle("old", Boolean(found.problem));
      drawAnswer(found);
      if (found.problem) return;
    }
    if (result.problem) return;
    clampPlace();
    if (outputs && !isNew && ["place", "output", "all"].some((key) => key in change)) drawAnswer(result);
    if (isNew || "place" in change || "output" in change || (outputs && "all" in change)) drawRules();
    if (isNew || "place" in change || "stored" in change || "all" in change) drawFlow();
    if (isNew || "place" in change || "all" in change) drawProof();
    if (isNew || "place" in change || "block" in change || "all" in change) drawSteps();
    if (isNew || "other" in change) drawCompare();
    if (isNew || "ref" in change) drawNumber();
    if ("edits" in change || "tensor" in change || "filter" in change || !sections.break.childNodes.length) drawBreak();
  }

  const clampPlace = () => (state.place = Math.max(-lead, Math.min(state.place, result.tokens.length - 1)));

  const number = (value, ref, label) =>
    el(
      "button",
      { type: "button", class: "n", "data-ref": ref, "aria-label": `${label}: ${show(value)}` },
      show(value),
    );
  const token = (text) => el("code.token", text === " " ? "\u2423" : text);
  const table = (caption, head, rows, attributes = {}) =>
    el(
      "div.scroll",
      { tabindex: 0, role: "region", "aria-label": caption },
      el(
        "table",
        attributes,
        el("caption", el("span", caption)),
        head &&
          el(
            "thead",
            el(
              "tr",
              head.map((each) => el("th", { scope: "col" }, each)),
            ),
          ),
        el("tbody", rows),
      ),
    );
  const few = (key, makers, wrap = (more) => el("tr", el("td", { colspan: 99 }, more))) => {
    if (makers.length <= MOST_ROWS || state.all[key]) return makers.map((make) => make());
    const more = button(`show all ${makers.length}`, () => choose({ all: { ...state.all, [key]: true } }));
    return [...makers.slice(0, MOST_ROWS).map((make) => make()), wrap(more)];
  };
  const where = ([what, place]) => el("li", what, place && el("span.place", ` ${place}`));

  // A prompt and its answer
  function drawAnswer(found) {
    if (found.problem) {
      put(sections.answer, el("p.problem", { role: "alert" }, found.problem));
      return;
    }
    if (outputs) {
      drawValues(found);
      return;
    }
    const p = found.tokens.length - 1;
    const top = found.answers[p];
    const right = isRight(found, p);
    const meant = found.meant && !found.meant.isBroken[p] && rightTokens(found.meant.answer[p]);
    const words = {
      true: ["the rules mean the same", "good"],
      false: [`the rules mean ${meant && meant.join(" or ")}`, "bad"],
      null: [data.meaning ? "the rules mean nothing here" : data.noMeaning, "note"],
    }[right];
    const highest = top[0][1];
    const total = top.reduce((sum, [, logit]) => sum + Math.exp(logit - highest), 0);
    const rows = top.slice(0, 5).map(([id, logit]) => {
      const share = Math.exp(logit - highest) / total;
      const bar = el("meter", { min: 0, max: 1, value: share, "aria-label": `probability ${show(share)}` });
      return line(
        token(tokenOf(model, id)),
        number(logit, refOf("logits", rowOf(p), id), `logit of ${tokenOf(model, id)}`),
        bar,
        share < 0.0001 ? "" : `${+(100 * share).toPrecision(3)} %`,
      );
    });
    put(
      sections.answer,
      el(
        "p.live",
        { "aria-live": "polite" },
        el("output", { for: "prompt" }, bestOf(found.answers, p)),
        el("span", { class: words[1] }, words[0]),
      ),
      notesOn(found).map((note) => el("p.note", note)),
      el(
        "p.buttons",
        button("write the next token", () => write(1, false)),
        button("write 10 tokens", () => write(10, false)),
        button("sample a token", () => write(1, true)),
        button("another prompt", () => load(drawn())),
      ),
      table("The most likely tokens", ["token", "logit", "probability", ""], rows),
    );
  }

  /** What must be said of a text beside the answer: that it is too long, or not allowed. */
  function notesOn(found) {
    const notes = [];
    if (found.count > longest) notes.push(`This text has ${found.count} tokens, of which the model sees the last ${longest}.`);
    if (!meaning) return notes;
    if (found.tokens.length > data.context && data.widens)
      notes.push(
        `This text has ${found.count} tokens. The program is written for up to ${data.context}, and the model has ${longest.toLocaleString("en")} positions: its patterns mean the same after longer texts, but no proof is about those.`,
      );
    else if (!isPromised(found, found.tokens.length - 1))
      notes.push(
        outputs
          ? "This is not an allowed text of the program, so nothing is promised."
          : "This is not an allowed prompt of the program, so nothing is promised.",
      );
    return notes;
  }

  /** The values that a model computes at every position of a text, which are its answer. */
  function drawValues(found) {
    const right = found.tokens.map((_, p) => outputs.map((_, k) => isStored(found, k, p)));
    const wrong = right.flat().filter((each) => each === false).length;
    const isBroken = found.meant?.isBroken.some(Boolean);
    const words = !found.meant
      ? [data.noMeaning, "note"]
      : isBroken
        ? ["the expressions mean nothing where this text breaks an assumption", "note"]
        : wrong
          ? [`${count(wrong, "value")} ${wrong === 1 ? "differs" : "differ"} from what the expressions mean`, "bad"]
          : ["the expressions mean the same", "good"];
    const columns = columnsShown();
    const rows = outputs.map((output, k) => () =>
      positionRow(columns, "answer", output.name, (p) => [
        el(
          "span",
          { class: right[p][k] === false ? "bad" : "" },
          number(found.computed[p][k], refOf("outputs", rowOf(p), k), `${output.name} at position ${p}`),
        ),
        right[p][k] === false && el("small", ` not ${show(meantBy(found, k, p))}`),
      ]),
    );
    const chosen = state.output;
    const place = Math.max(0, state.place);
    put(
      sections.answer,
      el(
        "p.live",
        { "aria-live": "polite" },
        el("output", { for: "prompt" }, show(found.computed[place][chosen])),
        el("span", `${outputs[chosen].name} at position ${place}`),
        el("span", { class: words[1] }, words[0]),
      ),
      notesOn(found).map((note) => el("p.note", note)),
      el(
        "p.buttons",
        button("another prompt", () => load(drawn())),
      ),
      table(
        `Values that the model computes at each position of ${join(found.tokens)}`,
        positionHead(columns),
        few("outputs", rows),
        { class: "positions" },
      ),
    );
    onceShown(sections.answer.querySelector(".scroll"), showPlace);
  }

  /** Writes tokens behind the prompt: the best ones, or drawn by their probabilities. */
  function write(count, isDrawn) {
    let text = state.text;
    for (let n = 0; n < count; n++) {
      const { answers, tokens, problem } = run(text);
      if (problem) break;
      const top = answers[tokens.length - 1];
      const weights = top.map(([, logit]) => Math.exp(logit - top[0][1]));
      let drawn = isDrawn ? Math.random() * weights.reduce((a, b) => a + b, 0) : 0;
      const place = weights.findIndex((weight) => (drawn -= weight) < 0);
      text = join([...split(text), tokenOf(model, top[Math.max(0, place)][0])]);
    }
    load(text);
  }

  const drawn = () => {
    const lengths = prompts.ways.map((each, n) => (n && each[0] ? n : 0)).filter(Boolean);
    const n = lengths[Math.floor(Math.random() * lengths.length)];
    return join(prompts.draw(n, Math.random).map((place) => data.tokens[place]));
  };

  function load(text) {
    field.value = text;
    choose({ text, place: Infinity });
  }

  // The rules that fired
  function drawRules() {
    const p = state.place;
    const { meant } = result;
    if (p < 0) {
      put(sections.rules, beforeText(), source([], []));
      return;
    }
    if (outputs) {
      drawOutputs();
      return;
    }
    const spot = el("p", "After ", token(join(result.tokens.slice(0, p + 1))), ":");
    if (!meant || meant.isBroken[p]) {
      put(
        sections.rules,
        spot,
        el("p", meant ? "This text breaks an assumption of the program." : data.noMeaning),
        source([], []),
      );
      return;
    }
    const decided = meant.rule[p];
    const rows = data.rules.map(([text, place], k) => {
      const flag = meaning.answer.rules[k].if;
      const holds = flag === null || meant.values[flag][p];
      const state = k === decided ? "fires" : holds ? "matches, but comes later" : nearly(flag, p);
      return el(
        "li",
        { class: k === decided ? "fired" : "", "aria-current": k === decided },
        el("code", text),
        place && el("span.place", ` ${place}`),
        el("span.why", ` ${state}`),
      );
    });
    const near = rows.length > MOST_ROWS ? rows.slice(Math.max(0, decided - 5), decided + 6) : rows;
    const used = linesOf([meaning.answer.rules[decided].if, meaning.answer.rules[decided].token]);
    put(
      sections.rules,
      spot,
      el("ol.rulelist", { start: near === rows ? 1 : Math.max(0, decided - 5) + 1 }, near),
      near.length < rows.length && el("p.note", `${rows.length} rules; those around the one that fired are shown.`),
      source([data.rules[decided][2]], used),
    );
  }

  /** What there is to say at the begin token, after which nothing is predicted. */
  const beforeText = () =>
    el("p", "The begin token ", token(data.begin.name), " is before the text, and after it alone nothing is promised.");

  /** The lines of the program's file that some nodes read. */
  const linesOf = (nodes) => [...reached(nodes.filter((n) => n != null))].map((node) => meaning.lines[node]);

  /** The expressions of a model of values, their values at a position, and the lines of one of them. */
  function drawOutputs() {
    const p = state.place;
    const rows = outputs.map(({ name, place }, k) => () => {
      const means = meantBy(result, k, p);
      return el(
        "li",
        { class: k === state.output ? "fired" : "" },
        button(name, () => choose({ output: k }), { "aria-pressed": k === state.output }),
        place && el("span.place", ` ${place}`),
        " ",
        number(result.computed[p][k], refOf("outputs", rowOf(p), k), name),
        isStored(result, k, p) === false && el("span.bad", ` the expression means ${show(means)}`),
      );
    });
    const node = meaning?.answer.values[state.output].node;
    put(
      sections.rules,
      el("p", "At position ", `${p}, `, token(result.tokens[p]), ":"),
      result.meant ? "" : el("p.note", data.noMeaning),
      el("ol.rulelist", few("expressions", rows, (more) => el("li", more))),
      source([outputs[state.output].line], meaning ? linesOf([node]) : []),
    );
  }

  /** How near a condition that is false came: of a conjunction, which parts hold. */
  function nearly(flag, p) {
    const node = meaning.nodes[flag];
    const sum = node.op === "at_least" && meaning.nodes[node.of];
    if (!sum || sum.op !== "sum" || sum.factors.some((factor) => factor !== 1)) return "does not hold";
    const failed = sum.of.filter((each) => !result.meant.values[each][p]);
    const named = failed.map((each) => meaning.names[each] ?? "a condition").join("; ");
    return failed.length && node.bound === sum.of.length
      ? `${sum.of.length - failed.length} of ${sum.of.length} hold; not: ${named}`
      : "does not hold";
  }

  /** The nodes that some nodes read, and these. */
  function reached(nodes) {
    const found = new Set();
    const open = [...nodes];
    while (open.length) {
      const node = open.pop();
      if (found.has(node)) continue;
      found.add(node);
      open.push(...readBy(meaning.nodes[node]));
    }
    return found;
  }
  function readBy(node) {
    if (node.op === "choice") return [node.if, node.then, node.else];
    if (node.op === "aggregate")
      return [...node.cases.flat().flatMap(({ key, query }) => [key, query]), node.value].filter((n) => n !== null);
    return [node.of ?? []].flat();
  }

  function source(fired, used) {
    if (!data.source) return null;
    const lines = data.source.lines.map((line, n) => {
      const lit = fired.includes(n + 1) ? "fired" : used.includes(n + 1) ? "used" : "";
      return el("li", { class: lit, "aria-current": lit === "fired" }, el("code", line || " "));
    });
    const label = { tabindex: 0, role: "region", "aria-label": `The file ${data.source.name}` };
    const box = el("div", { class: "scroll source", ...label }, el("ol", lines));
    onceShown(box, () => {
      const lit = box.querySelector(".fired");
      if (lit) box.scrollTop = lit.offsetTop - box.offsetTop - box.clientHeight / 2;
    });
    return box;
  }

  // Where the answer comes from
  const birth = meaning && births();

  /** The first block whose weights compute each node, and whether its heads do; -1 for the embedding. */
  function births() {
    const parts = new Map();
    for (const tensor of Object.keys(data.served)) {
      const [, block, part] = /^(?:h|layers)\.(\d+)\.(self_attn|attn|mlp)/.exec(tensor) ?? [null, -1, ""];
      for (const run of data.served[tensor])
        for (const n of data.lists[run.at(-1)]) {
          const [what] = data.origins[n];
          const stage = 2 * block + (part === "mlp" ? 1 : 0);
          if (!parts.has(what) || parts.get(what) > stage) parts.set(what, stage);
        }
    }
    const stages = [];
    meaning.nodes.forEach((node, n) => {
      const own = parts.get(meaning.names[n]);
      stages[n] = own ?? Math.max(-2, ...readBy(node).map((each) => stages[each]));
    });
    return stages;
  }

  // The nodes with a name; of several with the same name the last, which the others serve.
  const named = [...new Map(Object.entries(meaning?.names ?? {}).map(([n, name]) => [name, Number(n)])).values()].sort(
    (a, b) => a - b,
  );

  /** The positions that a table shows: all, or those around the selected one. */
  function columnsShown() {
    const { tokens } = result;
    const places = Array.from({ length: lead + tokens.length }, (_, row) => row - lead);
    const first = Math.max(0, Math.min(rowOf(state.place) - MOST_COLUMNS / 2, places.length - MOST_COLUMNS));
    return places.slice(first, first + MOST_COLUMNS);
  }
  const tokenAt = (p, tokens = result.tokens) => (p < 0 ? data.begin.name : tokens[p]);
  /** A position and its token in words; of the begin token the token alone. */
  const spotAt = (p, tokens) => (p < 0 ? tokenAt(p) : `${p} ${tokenAt(p, tokens)}`);
  const positionHead = (columns) => [
    "position",
    ...columns.map((p) =>
      button([el("small", p < 0 ? "begin" : p), token(tokenAt(p))], () => choose({ place: p }), {
        "aria-pressed": p === state.place,
        "aria-label": `${placeName(model, rowOf(p))}, ${tokenAt(p)}`,
      }),
    ),
  ];
  const inText = (make) => (p) => (p < 0 ? "" : make(p));
  const positionRow = (columns, kind, name, value, note) =>
    el(
      "tr",
      { class: kind },
      el("th", { scope: "row" }, name, note && el("small", note)),
      columns.map((p) => el("td", { class: p === state.place ? "here" : "" }, value(p))),
    );
  const showPlace = (box) => {
    const cell = box.querySelector(".here");
    if (cell) box.scrollLeft = cell.offsetLeft + cell.offsetWidth - box.clientWidth;
  };

  function drawFlow() {
    const { tokens, trace, meant, answers } = result;
    const columns = columnsShown();
    const row =
      (...parts) =>
      () =>
        positionRow(columns, ...parts);
    const title = (text) =>
      el("tr.stage", el("th", { colspan: columns.length + 1, scope: "rowgroup" }, el("span", text)));
    const values = (stage) => {
      const here = meant ? named.filter((n) => birth[n] === stage) : [];
      const isShown = (n) => state.all.no || meant.values[n].some((value) => value !== false);
      const rows = here.filter(isShown).map((n) => {
        const line = meaning.lines[n] ? `line ${meaning.lines[n]}` : "";
        return row("value", meaning.names[n], (p) => mark(meant.values[n][p]), line);
      });
      const hidden = here.length - rows.length;
      if (!hidden) return rows;
      const more = button(`show ${hidden} more that hold nowhere`, () =>
        choose({ all: { ...state.all, no: true } }),
      );
      return [...rows, () => el("tr", el("td", { colspan: columns.length + 1 }, more))];
    };
    const stored = (name, stage, tensors) =>
      state.stored
        ? data.stored
            .filter((each) => isWritten(each, tensors) && isCurrent(each, stage))
            .map((each) =>
              row("stored", each.name, (p) =>
                number(decoded(each, trace, name, rowOf(p)), refOf(name, rowOf(p), each.first), each.name),
              ),
            )
        : [];
    const valueRows = ({ name }, k) => [
      row(
        "answer",
        `the model's ${name}`,
        inText((p) =>
          el(
            "span",
            { class: isStored(result, k, p) === false ? "bad" : "" },
            number(result.computed[p][k], refOf("outputs", rowOf(p), k), name),
          ),
        ),
      ),
      ...(meant
        ? [row("answer", `what it means`, inText((p) => (isPromised(result, p) ? mark(meantBy(result, k, p)) : "")))]
        : []),
    ];
    const embeddings = model.isRotary ? [embeddingOf(model)] : [embeddingOf(model), "wpe.weight"];
    const rows = [
      ...few("embedding", [...values(-2), ...stored("embedding", 0, embeddings)]),
      ...shape.n_inner.flatMap((units, b) => {
        const heads = headsOf(b);
        const written = matrices(model, b);
        const moved = [
          ...heads.map((h) => row("head", `head ${headName(model, b, h)}`, (p) => looks(b, h, p), looksAt(b, h))),
          ...values(2 * b),
          ...(heads.length ? stored(`h.${b}.after_attention`, 2 * b + 1, [written.heads.weight]) : []),
        ];
        const computed = [
          ...(units ? [row("mlp", "neurons that fire", (p) => fired(b, p).length)] : []),
          ...values(2 * b + 1),
          ...(units ? stored(`h.${b}.output`, 2 * b + 2, [written.units.weight]) : []),
        ];
        return [title(`block ${b}`), ...few(`flow ${b}`, [...moved, ...computed])];
      }),
      title(outputs ? "values" : "answers"),
      ...few("answers", outputs ? outputs.flatMap(valueRows) : [
        row(
          "answer",
          "the model predicts",
          inText((p) =>
            el(
              "span",
              { class: isRight(result, p) === false ? "bad" : "" },
              number(bestOf(answers, p), refOf("logits", rowOf(p), answers[p][0][0]), "the model predicts"),
            ),
          ),
        ),
        ...(meant
          ? [
              row("answer", "the rules mean", inText((p) => (isPromised(result, p) ? rightTokens(meant.answer[p]).join(" or ") : ""))),
              row("answer", "by rule", inText((p) => (isPromised(result, p) ? meant.rule[p] + 1 : ""))),
            ]
          : []),
      ]),
    ];
    const box = el("input", {
      type: "checkbox",
      id: "stored",
      checked: state.stored,
      change: () => choose({ stored: box.checked }),
    });
    const arrows = (step, label) =>
      button(label, () => choose({ place: state.place + step }), {
        "aria-label": step < 0 ? "one position back" : "one position on",
      });
    const every = lead + tokens.length;
    const more = columns.length < every ? `${columns.length} of ${every} positions are shown. ` : "";
    put(
      sections.flow,
      el(
        "p.buttons",
        arrows(-1, "\u2190"),
        arrows(1, "\u2192"),
        ` ${placeName(model, rowOf(state.place))} `,
        el("label", box, " also the numbers that the model stores"),
      ),
      el(
        "p.note",
        more,
        meant ? `Values are what the ${outputs ? "expressions" : "rules"} mean; \u2192 marks the position that a head attends to. ` : "",
        "Every number can be clicked.",
      ),
      table(`What happens at each position of ${join(tokens)}`, positionHead(columns), rows, { class: "positions" }),
    );
    onceShown(sections.flow.querySelector(".scroll"), showPlace);
  }

  const mark = (value) =>
    value === true ? "\u2713" : value === false ? "\u00b7" : value === undefined ? "" : `${value}`;

  /** The heads of a block that write something. */
  function headsOf(b) {
    const { size } = widthsOf(model);
    const tensor = matrices(model, b).heads.weight;
    const channels = usedOf(tensor, isOutFirst(model, tensor) ? 1 : 0);
    const heads = new Set([...channels].map((channel) => Math.floor(channel / size)));
    return Array.from({ length: shape.n_head }, (_, h) => h).filter((h) => heads.has(h));
  }

  /** The rows (axis 0) or the columns (axis 1) of a tensor that are not 0. */
  function usedOf(tensor, axis) {
    const { rows } = model.tensors[tensor];
    return new Set(axis ? rows.flatMap(({ at }) => at) : rows.flatMap(({ at }, r) => (at.length ? [r] : [])));
  }
  const looksAt = (b, h) => {
    const found = data.names?.blocks[b]?.heads[h]?.looksAt;
    return found ? `attends to ${found}` : "attends to";
  };
  function looks(b, h, p) {
    const row = rowOf(p);
    const shares = result.trace.ids.map((_, s) => at(result.trace, `h.${b}.attn.pattern`, h, row, s));
    const best = shares.indexOf(Math.max(...shares));
    const seen = shares.filter((share) => share > 0.01).length;
    const text =
      shares[best] > 0.99
        ? spotAt(best - lead, result.tokens)
        : seen === shares.length || seen === row + 1
          ? `all ${seen}`
          : `${seen} of ${row + 1}`;
    return el(
      "button",
      {
        type: "button",
        class: "n",
        "data-ref": refOf(`h.${b}.attn.pattern`, h, row, best),
        "aria-label": `attends to ${text}`,
      },
      `\u2192${text}`,
    );
  }
  function fired(b, p) {
    const { shape: sizes, data: hidden } = result.trace.get(`h.${b}.mlp.hidden`);
    const units = [];
    for (let i = 0; i < sizes[1]; i++) {
      const value = hidden[rowOf(p) * sizes[1] + i];
      if (Math.abs(value) > 1e-6) units.push([i, value]);
    }
    return units;
  }

  const isWritten = ({ first, width }, tensors) =>
    tensors.some((tensor) =>
      [...usedOf(tensor, isOutFirst(model, tensor) ? 0 : 1)].some((d) => d >= first && d < first + width),
    );

  /** Whether the dimensions of a subspace store it at a stage, and not one that uses them before or after. */
  const isCurrent = ({ first, width, born }, stage) =>
    (born ?? 0) <= stage &&
    !data.stored.some(
      (other) =>
        (other.born ?? 0) > (born ?? 0) &&
        other.born <= stage &&
        other.first < first + width &&
        first < other.first + other.width,
    );

  /** What the dimensions of a subspace store, as its value. */
  function decoded({ encoding, first, width, signed, small, values }, trace, name, row) {
    const x = Array.from({ length: width }, (_, i) => at(trace, name, row, first + i));
    const valueAt = (place) => values?.[place] ?? place;
    if (encoding === "flag") return (signed ? (x[0] + 1) / 2 : x[0]) > 0.5;
    if (encoding === "small") return small ? x[0] * 4096 : x[0];
    if (encoding === "scalar") return x[0];
    if (encoding === "one-hot") return Math.max(...x) > 0.5 ? valueAt(x.indexOf(Math.max(...x))) : "\u00b7";
    if (encoding === "signed bits") return valueAt(x.reduce((sum, bit) => 2 * sum + (bit > 0 ? 1 : 0), 0));
    return x.map(show).join(" ");
  }

  // Margin and proof
  function leads() {
    const p = state.place;
    if (p < 0) return beforeText();
    const top = result.answers[p];
    const margin = top.length > 1 ? top[0][1] - top[1][1] : Infinity;
    return el(
      "p",
      "After ",
      token(join(result.tokens.slice(0, p + 1))),
      `, ${tokenOf(model, top[0][0])} leads ${top.length > 1 ? tokenOf(model, top[1][0]) : ""} by `,
      el("strong", show(margin)),
      " nats.",
    );
  }

  /** How far the numbers of a model of values are from what is meant, and how far they may be. */
  function distances() {
    const p = state.place;
    if (p < 0) return beforeText();
    const rows = outputs.map(({ name, within }, k) => () => {
      const isKnown = meantBy(result, k, p) !== undefined;
      const [top, below] = isKnown ? over(result.meant.values[meaning.answer.values[k].node][p]) : [];
      const stored = numberOf(result.trace, p, k);
      return line(
        name,
        number(stored, refOf("outputs", rowOf(p), k), `the number of ${name}`),
        isKnown ? show(Math.abs(stored - Number(top) / Number(below))) : "",
        show(within),
      );
    });
    const caption = `The numbers of the outputs at position ${p}`;
    return table(caption, ["output", "number", "off by", "may be off by"], few("distances", rows));
  }

  function drawProof() {
    const proof = data.proof.text;
    put(
      sections.proof,
      outputs ? distances() : leads(),
      state.edits.length ? el("p.bad", "You edited weights. Before the edits:") : "",
      el(
        "p",
        { class: data.proof.verdict === "proved" && !state.edits.length ? "good" : "note" },
        `${proof[0].toUpperCase()}${proof.slice(1)}.`,
      ),
      data.claim ? el("details", el("summary", "What the proof is about, in full"), el("pre", data.claim)) : "",
    );
  }

  // Break a weight
  function drawBreak() {
    const names = Object.keys(data.tensors);
    const tensor = state.tensor ?? names.find((name) => /mlp\.(c|down)_proj\.weight$/.test(name)) ?? names[0];
    const filter = state.filter ?? "";
    const { shape: sizes, rows } = model.tensors[tensor];
    const found = rows.flatMap(({ at: columns, is }, r) => columns.map((c, k) => [r, c, is[k]]));
    const wordsOf = ([r, c]) => {
      const labels = [...(sizes.length === 1 ? [] : [axisName(model, tensor, 0, r)]), axisName(model, tensor, 1, c)];
      if (isOutFirst(model, tensor)) labels.reverse(); // from what is read to what is given
      return [
        sizes.length === 1 ? [c] : [r, c],
        labels.join(" \u2192 "),
        originsOf(model, tensor, r, c)
          .map(([what]) => what)
          .join(", "),
      ];
    };
    const isWanted = (place) => wordsOf(place).join(" ").toLowerCase().includes(filter.toLowerCase());
    const listed = filter ? found.filter(isWanted) : found;
    const select = el(
      "select",
      { id: "tensor", change: () => choose({ tensor: select.value }) },
      names.map((name) => el("option", { value: name, selected: name === tensor }, name)),
    );
    const search = el("input", {
      id: "filter",
      type: "search",
      value: filter,
      change: () => choose({ filter: search.value }),
    });
    const body = listed.slice(0, MOST_ROWS).map((place) => {
      const [index, labels, serves] = wordsOf(place);
      const value = number(place[2], refOf(tensor, ...index), `${tensor} ${index}`);
      return el(
        "tr",
        el("td.index", `[${index.join(", ")}]`),
        el("td", value),
        el("td.long", labels),
        el("td.long", serves),
      );
    });
    const edits = state.edits.map((edit, k) =>
      el(
        "li",
        `${edit.tensor}[${edit.index.join(", ")}]: ${show(edit.before)} \u2192 `,
        number(edit.value, refOf(edit.tensor, ...edit.index), "edited"),
        k === state.edits.length - 1 && button("undo", undo),
      ),
    );
    put(
      sections.break,
      el(
        "p",
        `Choose a weight, here or in any formula, give it another value, and see ${outputs ? "in which prompts a value changes" : "after which prompts the answer changes"}.`,
      ),
      el(
        "div.edits",
        { "aria-live": "polite" },
        edits.length ? [el("ul", edits), button("undo all", undoAll)] : "",
        failures,
      ),
      el("p.buttons", el("label", { for: "tensor" }, "Tensor"), select, el("label", { for: "filter" }, "Find"), search),
      el(
        "p.note",
        `${listed.length.toLocaleString("en")} weights that are not 0${listed.length > MOST_ROWS ? `; the first ${MOST_ROWS} are shown` : ""}.`,
      ),
      table(`Weights of ${tensor}`, ["index", "value", "from \u2192 to", "serves"], body),
    );
  }

  const failures = el("div.failures");

  function edit({ tensor, row, column }, value) {
    if (!Number.isFinite(model.round(value))) return;
    const index = model.tensors[tensor].shape.length === 1 ? [column] : [row, column];
    const before = setWeight(model, tensor, row, column, value);
    choose({ edits: [...state.edits, { tensor, row, column, index, before, value: model.round(value) }] });
    tryPrompts();
  }
  function undo() {
    const last = state.edits.at(-1);
    setWeight(model, last.tensor, last.row, last.column, last.before);
    choose({ edits: state.edits.slice(0, -1) });
    tryPrompts();
  }
  function undoAll() {
    for (const { tensor, row, column, before } of [...state.edits].reverse())
      setWeight(model, tensor, row, column, before);
    choose({ edits: [] });
    tryPrompts();
  }

  let tried = null; // the prompts that are tried, each with the right answers once they are known
  let trial = 0; // an edit ends the trial of the one before

  /** The text that a prompt gives with what is written after it, and the right answers at each position. */
  function rightAfter(places) {
    const tokens = places.map((place) => data.tokens[place]);
    if (!meaning) {
      const clean = (model.clean ??= readModel(data));
      const trace = forward(
        clean,
        places.map((place) => data.ids[place]),
      );
      return { tokens, right: tokens.map((_, p) => rightOf(trace, p)) };
    }
    if (outputs) {
      const meant = interpret(meaning, tokens);
      return { tokens, right: meant.isBroken.some(Boolean) ? null : tokens.map((_, p) => ({ meant, p })) };
    }
    let meant = interpret(meaning, tokens);
    for (let n = 1; n < prompts.writes && !meant.isBroken.at(-1); n++) {
      tokens.push(rightTokens(meant.answer.at(-1))[0]);
      meant = interpret(meaning, tokens);
    }
    return { tokens, right: meant.isBroken.some(Boolean) ? null : meant.answer.map(rightTokens) };
  }

  /** What a model that nothing else is known of gives at a position. */
  const rightOf = (trace, p) =>
    outputs ? outputs.map((each, k) => valueOfNumber(each, numberOf(trace, p, k))) : [tokenOf(model, ranked(trace, p)[0][0])];

  /** The first wrong value: [text, right, value]; null where all are right. */
  function wrongValue(trace, { tokens, right }) {
    for (let p = 0; p < tokens.length; p++)
      for (let k = 0; k < outputs.length; k++) {
        const { meant } = right[p];
        const found = valueOfNumber(outputs[k], numberOf(trace, p, k));
        const wanted = meant ? meantBy({ meant }, k, p) : right[p][k];
        const isRight = meant ? isStored({ meant, trace }, k, p) : keyOf(found) === keyOf(wanted);
        if (!isRight) return [join(tokens.slice(0, p + 1)), `${outputs[k].name}: ${show(wanted)}`, show(found)];
      }
    return null;
  }

  /** The first wrong answer to a prompt or after it: [text, right, answer]; null where all are right. */
  function wrongAfter(prompt) {
    prompt.known ??= rightAfter(prompt.places);
    const { tokens, right } = prompt.known;
    if (!right) return null; // it breaks an assumption
    const trace = forward(
      model,
      tokens.map((each) => data.ids[placeOf.get(each)]),
    );
    if (outputs) return wrongValue(trace, prompt.known);
    for (let p = prompt.places.length - 1; p < tokens.length; p++) {
      const answer = tokenOf(model, ranked(trace, p)[0][0]);
      if (!right[p].includes(answer)) return [join(tokens.slice(0, p + 1)), right[p].join(" or "), answer];
    }
    return null;
  }

  /** Compares the answers of the edited model with the right ones, some at a time, for a while. */
  function tryPrompts() {
    const mine = ++trial;
    if (!state.edits.length) {
      put(failures);
      return;
    }
    tried ??= prompts.some(MOST_PROMPTS).map((places) => ({ places }));
    const end = performance.now() + MOST_SECONDS * 1000;
    const wrong = [];
    let n = 0;
    const step = () => {
      if (mine !== trial) return;
      const until = Math.min(end, performance.now() + 30);
      for (; n < tried.length && performance.now() < until; n++) {
        const found = wrongAfter(tried[n]);
        if (found) wrong.push(found);
      }
      const isOver = n === tried.length || performance.now() >= end;
      drawFailures(wrong, n, isOver);
      if (!isOver) setTimeout(step);
    };
    step();
  }

  function drawFailures(wrong, count, isOver) {
    const isAll = count === prompts.total;
    const among = isAll ? `all ${count}` : `${count} ${prompts.total > MOST_PROMPTS ? "random " : ""}`.trim();
    const rows = wrong.slice(0, 20).map(([text, right, answer]) => {
      const open = button(text, () => load(text), { class: "n" });
      return el("tr", el("td", open), el("td", right), el("td.bad", answer));
    });
    const caption = `Prompts whose ${outputs ? "values change" : "answer changes"}${wrong.length > 20 ? ", the first 20" : ""}`;
    const means = outputs ? "the expressions mean" : "the rules mean";
    put(
      failures,
      el(
        "p",
        { class: wrong.length ? "bad" : "good" },
        `${outputs ? "A value changes in" : "The answer changes after"} ${wrong.length} of ${among} prompts${isOver ? "" : " so far"}.`,
      ),
      rows.length ? table(caption, ["prompt", meaning ? means : "it was", outputs ? "the model computes" : "the model predicts"], rows) : "",
    );
  }

  // Step by step
  function drawSteps() {
    const { trace, tokens } = result;
    const p = state.place;
    const last = shape.n_inner.length;
    const b = (state.block = Math.max(-1, Math.min(state.block, last)));
    const names =
      b < 0
        ? ["embedding"]
        : b === last
          ? []
          : [
              ["before", b ? `h.${b - 1}.output` : "embedding"],
              ["heads add", `h.${b}.attn.output`],
              ...(shape.n_inner[b] ? [["neurons add", `h.${b}.mlp.output`]] : []),
              ["after", `h.${b}.output`],
            ];
    const arrow = (step, label, text) =>
      button(label, () => choose({ block: b + step }), { "aria-label": text, disabled: step < 0 ? b < 0 : b >= last });
    const bar = el(
      "p.buttons",
      arrow(-1, "\u2190", "the block before"),
      arrow(1, "\u2192", "the next block"),
      ` ${b < 0 ? "embedding" : b === last ? (outputs ? "values" : "logits") : `block ${b}`}, ${placeName(model, rowOf(p))}, `,
      token(tokenAt(p)),
      button("\u2190 position", () => choose({ place: p - 1 }), { disabled: p === -lead }),
      button("position \u2192", () => choose({ place: p + 1 }), { disabled: p === tokens.length - 1 }),
    );
    const parts = [bar];
    if (b >= 0 && b < last) {
      parts.push(
        el(
          "ul",
          headsOf(b).map((h) => el("li", `head ${headName(model, b, h)} ${looksAt(b, h)}: `, looks(b, h, p))),
          shape.n_inner[b]
            ? el(
                "li",
                "neurons that fire: ",
                few(
                  `units ${b}`,
                  fired(b, p).map(
                    ([i, value]) =>
                      () =>
                        el(
                          "span.unit",
                          unitName(model, b, i),
                          " ",
                          number(value, refOf(`h.${b}.mlp.hidden`, rowOf(p), i), unitName(model, b, i)),
                        ),
                  ),
                  (more) => more,
                ),
                fired(b, p).length ? "" : "none",
              )
            : "",
        ),
      );
    }
    if (b === last && p < 0) parts.push(beforeText());
    else if (b === last && outputs) {
      const rows = outputs.map(({ name }, k) => () =>
        line(
          name,
          number(result.computed[p][k], refOf("outputs", rowOf(p), k), name),
          show(numberOf(trace, p, k)),
        ),
      );
      parts.push(table("The values of this position", ["output", "value", "number"], few("values", rows)));
    } else if (b === last) {
      const rows = result.answers[p]
        .slice(0, MOST_ROWS)
        .map(([id, logit]) =>
          line(token(tokenOf(model, id)), number(logit, refOf("logits", rowOf(p), id), `logit of ${tokenOf(model, id)}`)),
        );
      parts.push(table("Logits, best first", ["token", "logit"], rows));
    } else {
      const columns = b < 0 ? [["embedding", "embedding"]] : names;
      const rows = Array.from({ length: shape.n_embd }, (_, d) => d)
        .filter((d) => columns.some(([, name]) => at(trace, name, rowOf(p), d) !== 0))
        .map(
          (d) => () =>
            line(
              data.names?.stream[d] ?? `dimension ${d}`,
              ...columns.map(([label, name]) =>
                number(at(trace, name, rowOf(p), d), refOf(name, rowOf(p), d), `${label}, dimension ${d}`),
              ),
            ),
        );
      parts.push(
        table(
          "The residual stream at this position; dimensions that are 0 are left out",
          ["dimension", ...columns.map(([label]) => label)],
          few(`stream ${b}`, rows),
        ),
      );
    }
    put(sections.steps, ...parts);
  }

  // Compare two prompts
  function drawCompare() {
    if (!state.other) {
      put(sections.compare, el("p.note", "Type another prompt to see how the two differ at their last tokens."));
      return;
    }
    const second = run(state.other);
    if (second.problem) {
      put(sections.compare, el("p.problem", second.problem));
      return;
    }
    const both = [result, second];
    const ends = both.map(({ tokens }) => tokens.length - 1);
    const facts = outputs
      ? outputs.map(({ name }, i) => [`the model's ${name}`, both.map(({ computed }, k) => show(computed[ends[k]][i]))])
      : [
          ["the model predicts", both.map(({ answers }, k) => bestOf(answers, ends[k]))],
          ["margin", both.map(({ answers }, k) => show(answers[ends[k]][0][1] - (answers[ends[k]][1]?.[1] ?? 0)))],
        ];
    if (both.every(({ meant }) => meant)) {
      if (!outputs) facts.push(["rule", both.map(({ meant }, k) => data.rules[meant.rule[ends[k]]]?.[0] ?? "")]);
      for (const n of named) facts.push([meaning.names[n], both.map(({ meant }, k) => mark(meant.values[n][ends[k]]))]);
    }
    shape.n_inner.forEach((_, b) =>
      headsOf(b).forEach((h) => {
        const found = both.map(({ trace, tokens }, k) => {
          const shares = trace.ids.map((_, s) => at(trace, `h.${b}.attn.pattern`, h, rowOf(ends[k]), s));
          const best = shares.indexOf(Math.max(...shares));
          return shares[best] > 0.99
            ? spotAt(best - lead, tokens)
            : `${shares.filter((share) => share > 0.01).length} positions`;
        });
        facts.push([`block ${b}, head ${headName(model, b, h)} attends to`, found]);
      }),
    );
    const rows = facts.map(([name, [one, two]]) =>
      el(
        "tr",
        { class: one === two ? "" : "differs" },
        el("th", { scope: "row" }, name),
        el("td", one),
        el("td", one === two ? "" : "\u2260"),
        el("td", two),
      ),
    );
    put(sections.compare, table("At the last token of each", ["", join(result.tokens), "", join(second.tokens)], rows));
  }

  // The selected number
  function drawNumber() {
    drawer.hidden = !state.ref;
    if (!state.ref) return;
    const [name, index] = readRef(state.ref);
    const sizes = (model.tensors[name] ?? result.trace.get(name)).shape;
    if (index.some((i, axis) => i >= sizes[axis])) {
      drawer.hidden = true; // of a longer prompt
      return;
    }
    const found = explain(model, result.trace, state.ref);
    const largest = [...found.terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 12);
    const rows = largest.map((term) =>
      line(
        term.label,
        show(term.value),
        term.refs.map((ref, k) => [k ? " \u00d7 " : "", number(valueOf(ref), ref, term.label)]),
      ),
    );
    const origins = servedBy(model, found);
    let editor = "";
    if (found.weight) {
      const value = el("input", { id: "edit", type: "number", step: "any", value: found.value });
      editor = el(
        "form.buttons",
        { submit: (event) => (event.preventDefault(), value.value !== "" && edit(found.weight, Number(value.value))) },
        el("label", { for: "edit" }, "Another value"),
        value,
        el("button", "break it"),
      );
    }
    put(
      drawer,
      button("\u00d7", () => choose({ ref: null }), { class: "close", "aria-label": "close" }),
      el("h2", found.title),
      el("p", el("strong", show(found.value)), found.weight ? `, ${found.formula}` : ` = ${found.formula}`),
      found.note && el("p", found.note),
      editor,
      rows.length
        ? table(found.terms.length > 12 ? `The 12 largest of ${found.terms.length} terms` : "Its terms", null, rows)
        : "",
      origins.length
        ? [
            el("p", "Serves"),
            el("ul", origins.slice(0, 6).map(where)),
            origins.length > 6 ? el("p.note", `and ${origins.length - 6} more`) : "",
          ]
        : "",
    );
  }
  const valueOf = (ref) => {
    const [name, index] = readRef(ref);
    return model.tensors[name]
      ? weightOf(model, name, ...(index.length === 1 ? [0, ...index] : index))
      : at(result.trace, name, ...index);
  };

  /** A prompt to begin with: not a short one, and always the same. */
  function firstPrompt() {
    const lengths = prompts.ways.map((each, n) => (n && each[0] ? n : 0)).filter((n) => n && n <= 12);
    const places = lengths.length ? prompts.draw(lengths.at(-1), generator(1)) : prompts.some(1)[0];
    return join((places ?? [0]).map((place) => data.tokens[place]));
  }
  load(data.example || firstPrompt());
  // For scripts and tests: the logits of a prompt, [position, n_vocab], by the model as it is edited; of
  // a model of values the numbers of its outputs, [position, output].
  const last = outputs ? "outputs" : "logits";
  root.handcraft = { run: (text) => numbersOf(run(text).trace.get(last)), load };
  const numbersOf = ({ shape: [, width], data: found }) => Array.from(found.subarray(lead * width));
}

export default {
  /** What anywidget calls: the data is a trait of the model. */
  render: ({ model, el: root }) => start(model.get("data"), root),
};
