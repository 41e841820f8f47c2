// Files of draws: what is read, and what is refused by its row.

import assert from "node:assert/strict";
import { test } from "node:test";
import { drawsInText } from "../../../../applications/gaussian/web/files.js";

const read = (text, tab = "gaussian") => drawsInText(text, tab).draws;

test("tables, lists and what other programs print are read", () => {
  const pairs = [
    "1,2\n-0.5,0.25\n",
    "1;2\r\n-0.5;0.25\r\n\r\n",
    "1\t2\n-.5\t.25",
    "  1   2\n-0.5 0.25",
    "1 2; -.5 .25",
    "1,2,-0.5,0.25",
    "1, 2,\n-0.5, 0.25,\n",
    "[[1, 2], [-0.5, 0.25]]",
    "[1, 2,\n -0.5, 0.25]",
    "[[ 1.   2.  ]\n [-0.5  0.25]]",
    "[ 1.  2.\n -0.5  0.25]",
    "x,y\n1,2\n-0.5,0.25",
    "draw 1,draw 2\n1,2\n-0.5,0.25",
    "# x y\n1 2\n-0.5 0.25",
    '{"draws": [1, 2, -0.5, 0.25]}',
    '{"draws": [[1, 2], [-0.5, 0.25]]}',
    '{"draws": ["1", "2", "-0.5", "0.25"]}',
  ];
  for (const text of pairs) assert.deepEqual(read(text), [1, 2, -0.5, 0.25], text);
  for (const text of ["0\n4\n4", "[0, 4, 4]", "move\n0\n4\n4", "0 4 4", "[[0], [4], [4]]"]) {
    assert.deepEqual(read(text, "moves"), [0, 4, 4], text);
  }
});

test("what would be paired wrongly is refused by its row", () => {
  const rows = Array.from({ length: 20 }, (_, k) => [k / 10, -k / 10]);
  const table = (cells) => cells.map((row) => row.join(",")).join("\n");
  const refused = [
    [table(rows.map((row, k) => [k, ...row])), /row 1 has 3 numbers, not 2/],
    [table(rows.map((row, k) => (k % 10 === 3 ? [row[0], ""] : row))), /row 4 has 1 number, not 2/],
    [`x,y\n${table(rows.map((row, k) => (k === 5 ? ["", row[1]] : row)))}`, /row 7 has 1 number/],
    [",0,1\n0,1.5,2\n1,2,3", /row 2 has 3 numbers/],
    ["1\n2\n3\n4", /row 1 has 1 number, not 2/],
    ["0,35;1,20\n0,5;1,0", /“0,35” is not a number: write decimals with a point/],
    ["x;y\n0,35;1,20", /“0,35” is not a number/],
    ["0,35 1,20\n0,5 1,0", /is not a number/],
    ["1,2\n3,four", /“four” is not a number/],
    ["1,2\nx,y\n3,4", /“x” is not a number/],
    ["[[1, 2], [3]]", /row 2 has 1 number, not 2/],
    ["[[1, 2], [3, null]]", /“null” is not a number/],
    ['{"draws": [1, "", 2]}', /“” is not a number/],
    ['{"draws": [[1, 2], 3]}', /row 2 has 1 number/],
    ["1,2,x", /“x” is not a number/],
    ["x,y", /“x” is not a number/],
    ["x,y\n", /“x” is not a number/],
    ["", /there are no draws in it/],
  ];
  for (const [text, message] of refused) assert.throws(() => read(text), message, text);
  assert.throws(() => read("0,3\n1,4", "moves"), /row 1 has 2 numbers, not 1/);
  assert.throws(() => read('{"draws": [0, 1], "state": {"tab": "moves"}, "x": [}'), SyntaxError);
  assert.deepEqual(read('{"draws": [[0], [1]], "state": {"tab": "moves"}}'), [0, 1]);
});
