// Reads an AsyncAPI document by its official parser; prints what it found and what it read, as JSON.
// Arguments: the directory whose node_modules has the parser, the document.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [directory, path] = process.argv.slice(2);
const { Parser } = createRequire(join(directory, "of.js"))("@asyncapi/parser");
const yaml = createRequire(join(directory, "of.js"))("js-yaml");

const text = readFileSync(path, "utf8");
const { document, diagnostics } = await new Parser().parse(text);
console.log(JSON.stringify({
  diagnostics: diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message })),
  operations: document?.operations().all().map((each) => each.id()) ?? [],
  plain: yaml.load(text, { schema: yaml.CORE_SCHEMA }),
}));
