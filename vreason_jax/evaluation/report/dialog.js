// One question in a dialog: its frames, and two methods' texts and traces side by side.
"use strict";

const dialog = make("dialog", { "aria-label": "one question", tabindex: -1, close: clearHash, click: leave, keydown: turn });
document.body.append(dialog);
let opened = -1; // its place in shownPairs

function follow(event, pair) {
  event.preventDefault();
  show(pair);
}

// Opens the question that the address names: …#q=ID
function openHash() {
  const match = /^#q=(.*)$/.exec(location.hash);
  if (!match || !DATA) return;
  const question = DATA.questions.findIndex((each) => encodeURIComponent(each.id) === match[1] || each.id === match[1]);
  const same = (pair) => pair.question === question;
  const pair = shownPairs.find(same) || pairsOf(...chosen.methods).find(same);
  if (pair && !(dialog.open && shownPairs[opened] === pair)) show(pair);
}

function show(pair) {
  opened = shownPairs.indexOf(pair);
  const question = DATA.questions[pair.question];
  dialog.replaceChildren(...[
    bar(question), asked(question), pictures(question.picture),
    DATA.answers.spark[pair.a ?? pair.b] && key(), make("div", { class: "sides" }, sides(pair)),
  ].filter(Boolean));
  if (!dialog.open) dialog.showModal();
  dialog.focus(); // arrows turn the pages
  dialog.scrollTop = 0;
  history.replaceState(null, "", `#q=${encodeURIComponent(question.id)}`);
}

function step(by) {
  if (opened >= 0 && shownPairs[opened + by]) show(shownPairs[opened + by]);
}

function bar(question) {
  const button = (label, text, click, disabled) => make("button", { type: "button", "aria-label": label, click, disabled }, text);
  const facts = `${question.task} · gold ${question.gold} · ${question.video}`;
  return make("div", { class: "bar" }, make("h3", {}, question.id, make("span", { class: "facts" }, facts)),
    make("p", { class: "turns" },
      button("previous question", "‹", () => step(-1), opened < 1),
      button("next question", "›", () => step(1), opened < 0 || opened + 1 >= shownPairs.length),
      button("close", "×", () => dialog.close())));
}

function asked(question) {
  if (!question.problem && !question.prompt) return null;
  return make("div", { class: "question" }, make("p", {}, question.problem || ""),
    make("ul", {}, question.options.map((option) => make("li", {}, option))),
    question.prompt && make("details", {}, make("summary", {}, "the prompt as sent"), make("pre", {}, question.prompt)));
}

// The frames stand side by side in one picture, of which each place shows its part.
function pictures(picture) {
  if (!picture) return make("p", { class: "small" }, "No frames: the run kept none of this clip, or the page has no room.");
  const url = `data:image/jpeg;base64,${picture.jpeg}`;
  const strip = make("div", { class: "frames" });
  const image = make("img", { src: url, alt: "" });
  image.addEventListener("load", () => {
    const [width, size] = [image.naturalWidth / picture.times.length, picture.times.length];
    strip.replaceChildren(...picture.times.map((time, place) => make("figure", {}, make("span", {
      role: "img", "aria-label": `frame at ${time} s`,
      style: `aspect-ratio: ${width} / ${image.naturalHeight}; background-image: url(${url}); ` +
        `background-size: ${100 * size}% 100%; background-position: ${(100 * place) / Math.max(1, size - 1)}% 0`,
    }), make("figcaption", {}, `${time.toFixed(1)} s`))));
  });
  const rest = picture.of > picture.times.length ? `${picture.times.length} of the ${picture.of} frames` : `The ${picture.of} frames`;
  return make("div", {}, make("p", { class: "small" }, `${rest} that the model saw, made smaller`), strip);
}

function sides(pair) {
  const texts = [pair.a, pair.b].map((at) => (at === undefined ? "" : DATA.answers.text[at]));
  const parts = apart(...texts.map((text) => text.split(/(\s+)/)));
  return [pair.a, pair.b].map((at, side) => answer(chosen.methods[side], at, parts[side]));
}

function answer(place, at, parts) {
  const method = DATA.methods[place];
  const name = make("h4", {}, make("i", { class: `swatch ${method.tone}` }), method.name);
  if (at === undefined) return make("article", {}, name, make("p", { class: "facts" }, "not asked"));
  const [a, value] = [DATA.answers, (key) => DATA.answers[key][at]];
  const facts = [
    `answer ${a.answer[at] ?? "none"}`, mark(a.score[at]), DATA.statuses[a.status[at]], `${a.tokens[at].toLocaleString("en")} tokens`,
    a.probability[at] === null ? null : `probability ${a.probability[at].toFixed(2)}`, `seed ${a.seed[at]}`,
  ].filter(Boolean).join(" · ");
  const link = (path, text) => make("a", { href: path.split("/").map(encodeURIComponent).join("/") }, text);
  return make("article", {}, name, make("p", { class: "facts" }, facts),
    value("spark") && spark(value("spark"), method.tone),
    make("pre", {}, parts.map(([text, differs]) => (differs ? make("mark", {}, text) : text))),
    make("p", { class: "small" }, link(value("file"), `predictions.jsonl, line ${value("line")}`),
      value("trace") && [" · ", link(value("trace"), "trace")]));
}

// Entropy and its EMA, in nats, over the bands of α.
function spark({ entropy, ema, alpha, delta }, tone) {
  const [width, height] = [440, 90];
  const high = Math.max(1, ...entropy, ...ema);
  const x = (at) => ((width * at) / Math.max(1, entropy.length)).toFixed(1);
  const y = (value) => (height - (height * value) / high).toFixed(1);
  const line = (values) => values.map((value, at) =>
    value === null ? "" : `${at && values[at - 1] !== null ? "L" : "M"}${x(at + 0.5)} ${y(value)}`).join("");
  const bands = [...alpha.matchAll(/\++|-+/g)].map(({ 0: run, index }) => draw("path", {
    class: run[0] === "+" ? "explore" : "exploit", d: `M${x(index)} 0H${x(index + run.length)}V${height}H${x(index)}Z`,
  }));
  const known = entropy.filter((value) => value !== null);
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const nats = (value) => (value / 100).toFixed(2);
  const note = `mean entropy ${nats(mean)} nats · top of the chart ${nats(high)}`;
  return make("div", {}, draw("svg", {
    class: "chart", viewBox: `0 -2 ${width} ${height + 4}`, role: "img", "aria-label": "entropy and its EMA",
  }, bands, draw("path", { class: "line faint", d: line(entropy) }), draw("path", { class: `line ${tone}`, d: line(ema) })),
  make("p", { class: "small" }, note + (delta ? ` · ‖ΔV‖ at the end ${nats(delta)}` : "")));
}

function key() {
  const entry = (style, text) => make("span", {}, make("i", { class: style }), text);
  return make("p", { class: "key" }, entry("faint", "entropy"), entry("s1 ema", "its EMA, in the method's colour"),
    entry("explore", "α = +1: entropy is raised"), entry("exploit", "α = −1: entropy is lowered"));
}

// Returns both texts as [words, whether the other text lacks them], by their longest common sequence.
function apart(a, b) {
  let [start, end] = [0, 0];
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const lengths = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
  for (let i = left.length - 1; i >= 0; i -= 1)
    for (let j = right.length - 1; j >= 0; j -= 1)
      lengths[i][j] = left[i] === right[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  const [kept, other] = [left.map(() => true), right.map(() => true)];
  for (let i = 0, j = 0; i < left.length && j < right.length;) {
    if (left[i] === right[j]) kept[i++] = other[j++] = false;
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i += 1;
    else j += 1;
  }
  const whole = (text, middle, flags) => [
    [text.slice(0, start).join(""), false], ...middle.map((word, at) => [word, flags[at] && word.trim() !== ""]),
    [text.slice(text.length - end).join(""), false],
  ];
  return [whole(a, left, kept), whole(b, right, other)];
}

function clearHash() {
  history.replaceState(null, "", location.pathname + location.search);
}

function leave(event) {
  if (event.target === dialog) dialog.close();
}

function turn(event) {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
}

addEventListener("hashchange", openHash);
begin().catch((error) => {
  document.querySelector("#questions").replaceChildren(
    make("p", {}, `This browser cannot unpack the questions (${error}); the same lines stand in predictions.jsonl.`));
});
