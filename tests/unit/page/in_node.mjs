// Runs the model and the meaning of a page in node: node in_node.mjs MODULE INPUT, answers as JSON.
import { readFileSync } from "node:fs";

const page = await import(process.argv[2]);
const { data, ids, texts } = JSON.parse(readFileSync(process.argv[3], "utf8"));
const model = page.readModel(data);
const answer = (text) => {
  const { rule, answer, isBroken } = page.interpret(data.meaning, text);
  return { rule, right: answer.map(page.rightTokens), broken: isBroken };
};
const prompts = data.meaning && new page.Prompts(data.meaning.contexts);
const listed = prompts?.some(300);
process.stdout.write(
  JSON.stringify({
    logits: ids.map((each) => Array.from(page.forward(model, each).get("logits").data)),
    meant: (texts ?? []).map(answer),
    allowed: (texts ?? []).map((text) => prompts.allows(text.map((token) => data.tokens.indexOf(token)))),
    total: prompts?.total,
    listed,
  }),
);
