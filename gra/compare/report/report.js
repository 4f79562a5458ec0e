// The browser of samples, the cue of tables that are wider than the page, and their scrolling by keyboard.
// Models' texts are hostile: they become text nodes, never HTML.
"use strict";

function node(tag, words, kind) {
  const made = document.createElement(tag);
  if (words !== undefined && words !== null) made.textContent = words;
  if (kind) made.className = kind;
  return made;
}

function number(value, digits) { return typeof value === "number" ? value.toFixed(digits) : "-"; }

async function unpacked(id) {
  const text = document.getElementById(id).textContent;
  if (!text) return [];
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// -- wide tables ------------------------------------------------------------------------------------------------------

function cues() {
  for (const box of document.querySelectorAll(".scroll")) {
    const over = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("over", over);
    if (over) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// -- one sample, open -------------------------------------------------------------------------------------------------

function remarks(model, lines, missing) {
  const box = node("div", null, "remarks");
  const first = node("p");
  first.append(node("strong", model));
  if (missing) first.append(" ", node("span", `no verdict: ${missing}`, "missing"));
  box.append(first);
  for (const [name, words] of lines) if (words) box.append(node("p", name ? `${name}: ${words}` : words));
  return box;
}

function verdicts(check) {
  const box = remarks(check.model, [["", check.comment]], check.missing);
  for (const [place, [name, yes]] of check.verdicts.entries()) {
    box.firstChild.append(`${place ? "," : ""} ${name}: `, node("span", yes ? "yes" : "no", yes ? "kept" : "rejected"));
  }
  return box;
}

function scores(sample, dimensions) {
  const reviews = sample.reviews.map((one) => [one.model, one]);
  if (sample.adjudication) reviews.push([`${sample.adjudication.model} (adjudicator)`, sample.adjudication]);
  if (!reviews.length) return [];
  const table = node("table");
  const head = table.createTHead().insertRow();
  for (const name of ["Model", ...dimensions, "score"]) head.append(node("th", name));
  const body = table.createTBody();
  for (const [name, review] of reviews) {
    const row = body.insertRow();
    row.append(node("td", name), ...review.scores.map((one) => node("td", one === null ? "-" : String(one))), node("td", number(review.score, 2)));
  }
  const box = node("div", null, "scroll");
  box.append(table);
  const said = reviews.filter(([, one]) => one.strengths || one.weaknesses || one.missing);
  return [node("h4", "Reviews"), box, ...said.map(([name, one]) => remarks(name, [["Strengths", one.strengths], ["Weaknesses", one.weaknesses]], one.missing))];
}

function text(title, words) {
  const box = node("div", words || "-", "text");
  box.dir = "auto";
  box.tabIndex = 0;
  return [node("h4", title), box];
}

function facts(sample, about) {
  const list = node("dl");
  const say = (name, words) => list.append(node("dt", name), node("dd", words || "-"));
  const needed = about.tau === null ? "" : ` (needed: ${about.tau})`;
  const allowed = about.delta === null ? "" : ` (allowed: ${about.delta})`;
  say("Sample", sample.id + (sample.round === null ? "" : `, round ${sample.round}`));
  say("Generator", sample.generator);
  say("Reviewers", sample.reviewers.join(", "));
  say("Adjudicator", sample.adjudicator);
  say("Annotator", sample.annotator);
  say("Keywords", sample.keywords.join(", "));
  say("Gate", `mean ${number(sample.mean, 2)}${needed}, standard deviation ${number(sample.std, 2)}${allowed}`);
  say("Outcome", outcome(sample, about) + (sample.detail ? ` (${sample.detail})` : ""));
  return list;
}

function outcome(sample, about) {
  if (!sample.kept) return `rejected: ${about.words[sample.reason] || sample.reason}`;
  return `kept: ${sample.decision}` + (sample.wrong ? ", and wrong by the truth of its world" : "");
}

function call(one) {
  const box = node("details");
  box.append(node("summary", `${one.step}, ${one.role}: ${one.model}` + (one.attempt ? `, attempt ${one.attempt + 1}` : "")));
  const inner = node("div", null, "inner");
  for (const [role, words] of one.messages) inner.append(...text(role, words));
  inner.append(...text(one.refused ? "refused" : "reply", one.reply));
  box.append(inner);
  return box;
}

// -- the list ---------------------------------------------------------------------------------------------------------

const PAGE = 25;
const ORDERS = {
  "as made": (a, b) => (a.round || 0) - (b.round || 0) || (a.id < b.id ? -1 : 1),
  "highest mean": (a, b) => (b.mean ?? -1) - (a.mean ?? -1),
  "lowest mean": (a, b) => (a.mean ?? 99) - (b.mean ?? 99),
  "most disputed": (a, b) => (b.std ?? -1) - (a.std ?? -1),
  "longest response": (a, b) => b.response.length - a.response.length,
};

async function browse(section) {
  const form = section.querySelector("form");
  const list = section.querySelector(".list");
  const told = section.querySelector(".found");
  const [earlier, later] = section.querySelectorAll(".pages button");
  const about = JSON.parse(document.getElementById("browser-words").textContent);
  form.addEventListener("submit", (event) => event.preventDefault());
  let all;
  try {
    all = await unpacked("browser-rows");
  } catch (error) {
    told.textContent = "This browser cannot unpack the samples (it lacks DecompressionStream): open the page in a newer one, or use gra inspect DIR.";
    return;
  }
  let calls = null;
  let found = [];
  let page = 0;
  for (const one of all) {
    one.haystack = [one.id, one.instruction, one.response, one.keywords.join(" ")].join("\n").toLowerCase();
  }
  const judged = form.dataset.judged === "yes";
  const fates = ["kept", "rejected", ...values((one) => (one.kept && one.decision ? [one.decision] : [])), ...(judged ? ["kept, but wrong"] : [])];
  options("fate", fates);
  options("domain", values((one) => [one.domain]));
  options("round", values((one) => (one.round === null ? [] : [String(one.round)])));
  options("generator", values((one) => [one.generator]));
  options("reviewer", values((one) => one.reviewers));
  options("reason", values((one) => [one.reason]), (name) => about.words[name] || name);
  options("order", Object.keys(ORDERS), (name) => name, false);

  function values(of) {
    return [...new Set(all.flatMap(of).filter(Boolean))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  }

  function options(name, entries, words = (entry) => entry, any = true) {
    const select = form.elements[name];
    if (any) select.append(new Option("any", ""));
    for (const entry of entries) select.append(new Option(words(entry), entry));
    select.closest("label").hidden = any && entries.length < 2;
  }

  function within(value, low, high) {
    if (low === "" && high === "") return true;
    return typeof value === "number" && (low === "" || value >= Number(low)) && (high === "" || value <= Number(high));
  }

  function fits(one, wanted) {
    const fate = wanted.fate;
    if (fate === "kept" && !one.kept) return false;
    if (fate === "rejected" && one.kept) return false;
    if (fate === "kept, but wrong" && !(one.kept && one.wrong)) return false;
    if (fate && !["kept", "rejected", "kept, but wrong"].includes(fate) && !(one.kept && one.decision === fate)) return false;
    if (wanted.domain && one.domain !== wanted.domain) return false;
    if (wanted.round && String(one.round) !== wanted.round) return false;
    if (wanted.generator && one.generator !== wanted.generator) return false;
    if (wanted.reviewer && !one.reviewers.includes(wanted.reviewer)) return false;
    if (wanted.reason && one.reason !== wanted.reason) return false;
    if (!within(one.mean, wanted.mean_low, wanted.mean_high) || !within(one.std, wanted.std_low, wanted.std_high)) return false;
    return wanted.search.toLowerCase().split(/\s+/).every((word) => one.haystack.includes(word));
  }

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    found = all.filter((one) => fits(one, wanted)).sort(ORDERS[wanted.order] || ORDERS["as made"]);
    page = 0;
    draw();
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const wrong = judged ? `, ${found.filter((one) => one.kept && one.wrong).length} of the kept are wrong` : "";
    const kept = found.filter((one) => one.kept).length;
    told.textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} samples: ${kept.toLocaleString("en")} kept${wrong}`;
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(row));
    section.querySelector(".pages span").textContent = `page ${page + 1} of ${pages}`;
    earlier.disabled = page === 0;
    later.disabled = page === pages - 1;
  }

  function row(one) {
    const box = node("details", null, "sample");
    box.dataset.id = one.id;
    const head = node("summary");
    head.append(node("span", one.kept ? "kept" : "rejected", one.kept ? "kept" : "rejected"));
    const start = node("span", one.instruction.slice(0, 160) || "(no instruction)", "start");
    start.dir = "auto";
    const fate = [one.domain, one.mean === null ? "" : `mean ${number(one.mean, 2)}`, one.kept ? one.decision : about.words[one.reason] || one.reason];
    const line = node("span", fate.filter(Boolean).join(", "), "fate soft");
    if (one.kept && one.wrong) line.prepend(node("span", "wrong", "mark-wrong"), " ");
    head.append(start, line);
    box.append(head);
    box.addEventListener("toggle", () => {
      if (!box.open || box.querySelector(".inner")) return;
      const inner = node("div", null, "inner");
      inner.append(facts(one, about), ...text("Instruction", one.instruction));
      if (one.checks.length) inner.append(node("h4", "Instruction check"), ...one.checks.map(verdicts));
      inner.append(...text("Response", one.response), ...scores(one, about.dimensions));
      inner.append(prompts(one));
      box.append(inner);
      cues();
    });
    head.addEventListener("click", () => { if (!box.open) history.replaceState(null, "", address(one.id)); });
    return box;
  }

  function address(id) { return `#sample=${encodeURIComponent(id)}`; }

  function prompts(one) {
    const box = node("div");
    if (!document.getElementById("browser-calls").textContent) return box;
    const button = node("button", "Prompts and replies");
    button.type = "button";
    button.addEventListener("click", async () => {
      calls = calls || new Map(await unpacked("browser-calls"));
      const mine = calls.get(one.id);
      button.replaceWith(...(mine ? mine.map(call) : [node("p", `Not in this page: gra inspect DIR --sample ${one.id}`, "soft")]));
    });
    box.append(button);
    return box;
  }

  function open(id) {
    if (!all.some((one) => one.id === id)) {
      told.textContent = `Sample ${id} is not in this page: gra inspect DIR --sample ${id}`;
      return;
    }
    if (!found.some((one) => one.id === id)) { form.reset(); filter(); }
    page = Math.floor(found.findIndex((one) => one.id === id) / PAGE);
    draw();
    const box = [...list.children].find((one) => one.dataset.id === id);
    box.open = true;
    box.scrollIntoView({ block: "start" });
    box.querySelector("summary").focus({ preventScroll: true });
  }

  function follow() {
    const named = location.hash.startsWith("#sample=") ? location.hash.slice(8) : "";
    if (!named) return;
    try { open(decodeURIComponent(named)); } catch (error) { if (!(error instanceof URIError)) throw error; }
  }

  function step(by) {
    const heads = [...list.querySelectorAll(":scope > details > summary")];
    const next = heads.indexOf(document.activeElement) + by;
    if (next < 0 && page === 0) return heads[0]?.focus();
    if (next >= 0 && next < heads.length) return heads[next].focus();
    page += by;
    draw();
    const fresh = [...list.querySelectorAll(":scope > details > summary")];
    return fresh[by > 0 ? 0 : fresh.length - 1]?.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const acts = { "/": () => form.elements.search.focus(), j: () => step(1), k: () => step(-1), n: () => later.click(), p: () => earlier.click() };
    if (!Object.hasOwn(acts, event.key)) return;
    event.preventDefault();
    acts[event.key]();
  });
  form.addEventListener("input", filter);
  form.querySelector(".clear").addEventListener("click", () => { form.reset(); filter(); });
  for (const button of [earlier, later]) {
    button.addEventListener("click", () => { page += Number(button.dataset.turn); draw(); section.scrollIntoView(); });
  }
  window.addEventListener("hashchange", follow);
  filter();
  follow();
  section.dataset.ready = "yes";
}

cues();
window.addEventListener("resize", cues);
document.addEventListener("toggle", cues, true);
const samples = document.getElementById("samples");
if (samples) browse(samples);
