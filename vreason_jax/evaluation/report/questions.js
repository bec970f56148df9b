// The table of questions: two methods beside each other, with filter, sort and search.
"use strict";

const PAGE = 50; // rows
const RIGHT = "✓", WRONG = "✗";
// The same words and the same rule as in differences.py.
const OUTCOMES = ["better", "worse", "other answer", "same answer", "one method only"];

let DATA; // as answers.py packs it
let byQuestion; // for each question a map of methods to a map of seeds to places in DATA.answers
const chosen = { methods: [0, 0], outcome: "", status: "", task: "", search: "", sort: "", down: false, page: 0 };
const seedsOf = new Map(); // of each method
let shownPairs = []; // all that the filter leaves, in order

async function unpack(element) {
  const bytes = Uint8Array.from(atob(element.textContent), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// Returns {question, seed, a, b, outcome} for each question and seed; a and b are places of answers.
function pairsOf(first, second) {
  const methods = [first, second], single = methods.map((method) => seedsOf.get(method)?.size === 1);
  return DATA.questions.flatMap((_, question) => {
    const sides = methods.map((method) => byQuestion[question].get(method) || new Map());
    const several = sides.filter((_, side) => !single[side]).flatMap((side) => [...side.keys()]);
    if (!sides[0].size && !sides[1].size) return [];
    const seeds = several.length ? [...new Set(several)] : [undefined];
    return seeds.map((seed) => {
      const [a, b] = sides.map((side, n) => (single[n] ? [...side.values()][0] : side.get(seed)));
      return { question, seed, a, b, outcome: outcomeOf(a, b) };
    });
  });
}

function outcomeOf(a, b) {
  const { score, answer } = DATA.answers;
  if (a === undefined || b === undefined) return OUTCOMES[4];
  if (score[a] !== score[b]) return OUTCOMES[score[b] < score[a] ? 1 : 0];
  return OUTCOMES[answer[a] === answer[b] ? 3 : 2];
}

const mark = (score) => (score === 1 ? RIGHT : score === 0 ? WRONG : `${(100 * score).toFixed(0)} %`);
// What an answer says; one without tags says that.
const said = (at) => (at === undefined ? "–" : DATA.answers.answer[at] ?? DATA.statuses[DATA.answers.status[at]]);
const names = () => chosen.methods.map((method) => DATA.methods[method].label);

function haystack(pair) {
  const question = DATA.questions[pair.question];
  const texts = [pair.a, pair.b].flatMap((at) =>
    at === undefined ? [] : [DATA.answers.answer[at], DATA.answers.text[at]]);
  const parts = [question.id, question.task, question.gold, question.problem, ...question.options, ...texts];
  return parts.join("\n").toLowerCase();
}

const COLUMNS = [
  ["question", (pair) => DATA.questions[pair.question].id],
  ["asked", (pair) => DATA.questions[pair.question].problem ?? ""],
  ["task", (pair) => DATA.questions[pair.question].task],
  ["gold", (pair) => DATA.questions[pair.question].gold],
  [0, (pair) => DATA.answers.score[pair.a] ?? -1],
  [1, (pair) => DATA.answers.score[pair.b] ?? -1],
  ["outcome", (pair) => OUTCOMES.indexOf(pair.outcome)],
  ["tokens 0", (pair) => DATA.answers.tokens[pair.a] ?? -1],
  ["tokens 1", (pair) => DATA.answers.tokens[pair.b] ?? -1],
];

function heading(key) {
  const [a, b] = names();
  return { 0: a, 1: b, "tokens 0": `tokens, ${a}`, "tokens 1": `tokens, ${b}` }[key] ?? key;
}

function filtered() {
  const needle = chosen.search.trim().toLowerCase();
  const status = (at) => DATA.answers.status[at];
  const kept = pairsOf(...chosen.methods).filter((pair) =>
    (!chosen.outcome || pair.outcome === chosen.outcome) &&
    (!chosen.task || DATA.questions[pair.question].task === chosen.task) &&
    (!chosen.status || [pair.a, pair.b].some((at) => status(at) === chosen.status)) &&
    (!needle || haystack(pair).includes(needle)));
  const column = COLUMNS.find(([key]) => String(key) === chosen.sort);
  if (!column) return kept;
  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (x, y) => (typeof x === "number" ? x - y : collator.compare(x, y));
  const sign = chosen.down ? -1 : 1;
  return kept.map((pair) => [column[1](pair), pair])
    .sort((x, y) => sign * compare(x[0], y[0])).map(([, pair]) => pair);
}

// Returns a table of some pairs; its cells are what the exports read.
function pairTable(pairs) {
  const sorts = (key) => String(key) === chosen.sort && (chosen.down ? "descending" : "ascending");
  const head = COLUMNS.map(([key]) => make("th", { scope: "col", class: key === "asked" && key, "aria-sort": sorts(key) },
    make("button", { type: "button", click: () => sortBy(String(key)) }, heading(key))));
  const body = pairs.map((pair) => {
    const question = DATA.questions[pair.question];
    const seed = pair.seed === undefined ? "" : `, seed ${pair.seed}`;
    const link = make("a", { href: `#q=${encodeURIComponent(question.id)}`, click: (event) => follow(event, pair) },
      question.id + seed);
    const tokens = [pair.a, pair.b].map((at) => make("td", {}, String(DATA.answers.tokens[at] ?? "–")));
    return make("tr", {}, make("th", { scope: "row" }, link),
      make("td", { class: "asked" }, question.problem ?? ""), make("td", {}, question.task),
      make("td", { class: "said" }, question.gold), [pair.a, pair.b].map(saidCell),
      make("td", { class: `outcome ${pair.outcome.split(" ")[0]}` }, pair.outcome), tokens);
  });
  return make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, body));
}

function saidCell(at) {
  if (at === undefined) return make("td", {}, "–");
  const score = DATA.answers.score[at];
  return make("td", { class: "said" }, `${said(at)} `,
    make("span", { class: score === 1 ? "right" : "wrong" }, mark(score)));
}

function sortBy(key) {
  if (chosen.sort !== key) [chosen.sort, chosen.down] = [key, false];
  else if (!chosen.down) chosen.down = true;
  else chosen.sort = "";
  update();
  document.querySelectorAll("#questions thead button")[COLUMNS.findIndex(([k]) => String(k) === key)].focus();
}

function choose(label, options, key, change) {
  const select = make("select", { change: (event) => change(event.target.value), "data-key": key },
    options.map(([value, text]) => make("option", { value }, text)));
  return make("label", {}, make("span", {}, label), select);
}

function controls() {
  const pick = (key) => (value) => { chosen[key] = value; update(); };
  const methods = DATA.methods.map((method, place) => [place, method.name]);
  const method = (side) => (value) => { chosen.methods[side] = Number(value); update(); };
  const distinct = (values) => [...new Set(values)].map((value) => [value, DATA.statuses[value] || value || "none"]);
  const search = make("input", { type: "search", placeholder: "words, ids, answers", input: (event) => pick("search")(event.target.value) });
  return make("div", { class: "controls" },
    choose("first method", methods, "first", method(0)), choose("second method", methods, "second", method(1)),
    choose("outcome of the second", [["", "any"]], "outcome", pick("outcome")),
    choose("status", [["", "any"], ...distinct(DATA.answers.status)], "status", pick("status")),
    choose("task", [["", "any"], ...distinct(DATA.questions.map((each) => each.task))], "task", pick("task")),
    make("label", {}, make("span", {}, "search"), search));
}

// Fills the list of outcomes with the number of each between the two methods.
function count(pairs) {
  const select = document.querySelector("#questions [data-key=outcome]");
  const found = OUTCOMES.map((outcome) => [outcome, pairs.filter((pair) => pair.outcome === outcome).length]);
  select.replaceChildren(make("option", { value: "" }, `any (${pairs.length.toLocaleString("en")})`),
    ...found.filter(([outcome, size]) => size || outcome === chosen.outcome)
      .map(([outcome, size]) => make("option", { value: outcome }, `${outcome} (${size.toLocaleString("en")})`)));
  select.value = chosen.outcome;
}

function update(page = 0) {
  count(pairsOf(...chosen.methods));
  shownPairs = filtered();
  const pages = Math.max(1, Math.ceil(shownPairs.length / PAGE));
  chosen.page = Math.min(Math.max(page, 0), pages - 1);
  const from = chosen.page * PAGE;
  const part = shownPairs.slice(from, from + PAGE);
  document.querySelector("#questions .scroll").replaceChildren(pairTable(part));
  const numbers = part.length ? `${from + 1}–${from + part.length} of ${shownPairs.length.toLocaleString("en")}` : "none";
  const turn = (step, label, text) => make("button", {
    type: "button", "aria-label": label, disabled: chosen.page + step < 0 || chosen.page + step >= pages,
    click: () => update(chosen.page + step),
  }, text);
  document.querySelector("#questions .pages").replaceChildren(
    turn(-1, "previous rows", "‹"), make("span", { "aria-live": "polite" }, numbers), turn(1, "next rows", "›"));
}

async function begin() {
  const place = document.querySelector("#questions");
  DATA = await unpack(document.querySelector("#data"));
  byQuestion = DATA.questions.map(() => new Map());
  DATA.answers.question.forEach((question, at) => {
    const { method, seed } = DATA.answers;
    const seeds = byQuestion[question].get(method[at]) || new Map();
    byQuestion[question].set(method[at], seeds.set(seed[at], at));
    seedsOf.set(method[at], (seedsOf.get(method[at]) || new Set()).add(seed[at]));
  });
  const places = DATA.chosen.map((name) => DATA.methods.findIndex((method) => method.name === name));
  chosen.methods = [places[0], places[1] ?? places[0]];
  place.replaceChildren(controls(), make("div", { class: "bar" }, make("div", { class: "pages" }),
    make("p", { class: "saves" }, tableButtons("questions", () => pairTable(shownPairs)))),
  make("div", { class: "scroll", tabindex: "0" }));
  for (const [side, key] of ["first", "second"].entries())
    place.querySelector(`[data-key=${key}]`).value = chosen.methods[side];
  update();
  openHash();
}
