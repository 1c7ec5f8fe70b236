// Parses statements or blocks from standard input, one per line as JSON, with ANTLR's grammar of PL/SQL; prints the
// faults of each.
const { antlr4tsSQL, SQLDialect } = require('antlr4ts-sql');

class Faults {
  constructor() { this.all = []; }
  syntaxError(recognizer, symbol, line, column, message) { this.all.push(`${line}:${column} ${message.slice(0, 80)}`); }
}

const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter((line) => line);
for (const line of lines) {
  const faults = new Faults();
  const parser = new antlr4tsSQL(SQLDialect.PLSQL);
  // The grammar accepts keywords only in capital letters.
  const tokens = parser.getTokens(JSON.parse(line).toUpperCase(), [faults]);
  parser.getParseTree(parser.getParser(tokens, [faults]));
  console.log(JSON.stringify(faults.all));
}
