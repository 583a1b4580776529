// Runs the model and the meaning of a page in node: node in_node.mjs MODULE INPUT, answers as JSON.
import { readFileSync } from "node:fs";

const page = await import(process.argv[2]);
const { data, ids, texts, summed, traced, cases, named, served, valued } = JSON.parse(readFileSync(process.argv[3], "utf8"));
const model = data && page.readModel(data);
const meant = (meaning, text) => {
  const { values, rule, answer, isBroken } = page.interpret(meaning, text);
  const outputs = meaning.answer.values?.map(({ node }) => values[node]);
  return { rule, right: answer?.map(page.rightTokens), outputs, broken: isBroken };
};
/** The logits or the numbers of outputs at the positions of the text, without those of a begin token. */
function numbers(trace) {
  const { shape, data: found } = trace.get(data.outputs ? "outputs" : "logits");
  return found.subarray(model.lead * shape[1]);
}

/** The value of every output at every position, as text, and whether it is the one that is meant. */
function computed(places) {
  const trace = page.forward(model, places.map((place) => data.ids[place]));
  const { values, isBroken } = page.interpret(data.meaning, places.map((place) => data.tokens[place]));
  return data.outputs.map((output, k) =>
    places.map((_, p) => {
      const number = page.at(trace, "outputs", model.lead + p, k);
      const stored = values[data.meaning.answer.values[k].node][p];
      return [`${page.valueOfNumber(output, number)}`, isBroken[p] ? null : page.standsFor(output, number, stored)];
    }),
  );
}

/** For each kind of number: how many there are, and how far the terms of a sum are from it at most. */
function sums(trace) {
  const found = {};
  for (const [name, { shape, data }] of trace) {
    const kind = name.replace(/^h\.\d+\./, "");
    found[kind] ??= { count: 0, off: 0, plain: 0 };
    data.forEach((value, place) => {
      const index = [];
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        index.unshift(place % shape[axis]);
        place = Math.floor(place / shape[axis]);
      }
      const { causal, window } = model.architecture;
      const isHidden = (causal && index[2] > index[1]) || (window && index[2] <= index[1] - window);
      if (kind === "attn.scores" && isHidden) return;
      const made = page.explain(model, trace, `${name}@${index.join(",")}`);
      const terms = made.terms.map((term) => term.value);
      const sum = terms.reduce((a, b) => a + b, 0);
      const largest = Math.max(1, ...terms.map(Math.abs));
      found[kind].count++;
      if (made.value !== value) found[kind].plain++;
      if (/\+|the sum of/.test(made.formula) && !/gain/.test(made.formula))
        found[kind].off = Math.max(found[kind].off, Math.abs(sum - value) / largest);
    });
  }
  return found;
}

const prompts = data?.meaning && new page.Prompts(data.meaning.contexts);
const isSmall = prompts?.total < 5000;
const listed = prompts?.some(300);
process.stdout.write(
  JSON.stringify({
    logits: ids.map((each) => Array.from(numbers(page.forward(model, each)))),
    computed: (valued ?? []).map(computed),
    meant: (texts ?? []).map((text) => meant(data.meaning, text)),
    cases: (cases ?? []).map(({ meaning, texts }) => texts.map((text) => meant(meaning, text))),
    named: (named ?? []).map(([tensor, axis, i]) => page.axisName(model, tensor, axis, i)),
    allowed: (texts ?? []).map((text) => prompts.allows(text.map((token) => data.tokens.indexOf(token)))),
    trace: traced && Object.fromEntries([...page.forward(model, traced)].map(([name, { data }]) => [name, Array.from(data)])),
    sums: summed ? sums(page.forward(model, summed)) : null,
    served: (served ?? []).map((place) => page.originsOf(model, ...place).map(([what]) => what)),
    total: prompts?.total,
    longer: isSmall ? prompts.every(prompts.longest).map((each) => prompts.allows([...each, each.at(-1)])) : [],
    listed,
  }),
);
