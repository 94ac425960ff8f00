// The playground: one image at a time, through the public API alone.
"use strict";

const $ = (id) => document.getElementById(id);
const state = { file: null, models: [], xhr: null, sourceUrl: null, resultUrl: null, planning: null, timer: 0 };

// Beyond this a browser tab may die of showing it.
const PREVIEW_PIXELS = 120e6;
// A header of an image (profile and EXIF included) is well within this; a plan needs no more.
const HEADER_BYTES = 1 << 20;

// Has the server choose a model by the file.
const AUTO = "auto";

class KeyNeeded extends Error {}

// ---- words

const bytes = (n) => {
  const units = ["B", "kB", "MB", "GB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i += 1; }
  return `${i && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
};
const seconds = (s) => (s < 1 ? `${Math.max(1, Math.round(s * 1000))} ms` : s < 60 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`);
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const size = ({ width, height }) => `${width}×${height}`;

// ---- what is asked for

const chosenScale = () => document.querySelector("input[name=scale]:checked")?.value ?? "4";
// A width, once it is written, goes before the scale.
const chosenSize = () => ($("width").value ? { width: $("width").value } : { scale: chosenScale() });

function query() {
  const asked = new URLSearchParams({ ...chosenSize(), model: $("model").value, format: $("format").value });
  if ($("ensemble").checked) asked.set("ensemble", "true");
  return asked.toString();
}

// The key stays in its field: it is never stored, and never shown in the line for the shell.
function authorization() {
  const key = $("key").value.replace(/[^\x21-\x7e]/g, "");
  return key ? { Authorization: `Bearer ${key}` } : {};
}

function modelChanged() {
  const name = $("model").value;
  const model = state.models.find((m) => m.name === name);
  if (!model && name !== AUTO) return;
  const run = model?.scales[0]?.execution;
  const parts = model
    ? [model.description || model.title, run && `Runs on ${run.provider}, ${run.precision}.`]
    : ["The model that suits the file: whether its compression lost anything, and how much."];
  $("about").textContent = parts.filter(Boolean).join(" ");
  optionsChanged();
}

function optionsChanged() {
  const name = state.file?.name ?? "photo.jpg";
  const quoted = name.replaceAll("'", "'\\''");
  const extension = { png: "png", jpeg: "jpg", webp: "webp" }[$("format").value];
  const key = $("key-field").hidden ? "" : '-H "Authorization: Bearer $API_KEY" ';
  $("curl").textContent = `curl ${key}--data-binary '@${quoted}' '${new URL(`v1/upscale?${query()}`, location.href)}' -o large.${extension}`;
  // Typing through the options must not send one upload for each.
  clearTimeout(state.timer);
  state.timer = setTimeout(plan, 150);
}

async function plan() {
  state.planning?.abort();
  if (!state.file || !$("model").value) return;
  state.planning = new AbortController();
  const line = $("plan");
  try {
    const answer = await fetch(`v1/plan?${query()}`, {
      method: "POST", body: state.file.slice(0, HEADER_BYTES), signal: state.planning.signal,
      headers: { "Content-Type": "application/octet-stream", ...authorization() },
    });
    const said = await answer.json();
    line.classList.toggle("bad", !answer.ok);
    line.textContent = answer.ok
      ? `${size(said.input)} becomes ${size(said.output)}: ${said.tiles} ${said.tiles === 1 ? "tile" : "tiles"}, about ${seconds(said.estimated_seconds)}${said.reason ? `, by ${said.model} (${said.reason})` : ""}.`
      : sentence(said.detail);
    state.plan = answer.ok ? said : null;
    // What may pass later (a full queue) is worth trying; what cannot is not.
    $("go").disabled = !answer.ok && answer.status !== 429 && answer.status !== 503;
  } catch (error) {
    if (error.name !== "AbortError") { line.classList.add("bad"); line.textContent = "The server does not answer."; }
  }
}

// ---- the image

function choose(file) {
  if (!file) return;
  state.file = file;
  state.plan = null;
  $("result").hidden = true;
  $("problem").hidden = true;
  $("plan").textContent = "";
  if (state.sourceUrl) URL.revokeObjectURL(state.sourceUrl);
  state.sourceUrl = URL.createObjectURL(file);
  $("thumb").src = state.sourceUrl;
  $("thumb").hidden = false;
  const name = Object.assign(document.createElement("strong"), { textContent: file.name });
  const facts = Object.assign(document.createElement("small"), { textContent: `${bytes(file.size)}; choose, drop or paste another to replace it` });
  $("drop-text").replaceChildren(name, document.createElement("br"), facts);
  $("drop").classList.add("full");
  $("go").disabled = false;
  optionsChanged();
}

// ---- the work

function progress(label, value) {
  $("progress").hidden = false;
  $("stage").textContent = label;
  if (value === null) $("bar").removeAttribute("value");
  else $("bar").value = value;
}

function busy(on) {
  $("go").hidden = on;
  $("cancel").hidden = !on;
  if (!on) $("progress").hidden = true;
}

function upscale() {
  if (!state.file || state.xhr) return;
  $("problem").hidden = true;
  $("result").hidden = true;
  busy(true);
  const started = performance.now();
  const estimate = state.plan?.estimated_seconds ?? 0;
  const xhr = new XMLHttpRequest();
  state.xhr = xhr;
  let ticking = 0;
  const over = () => { clearInterval(ticking); state.xhr = null; busy(false); };

  xhr.open("POST", `v1/upscale?${query()}`);
  const headers = { "Content-Type": "application/octet-stream", ...authorization() };
  for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
  xhr.responseType = "blob";
  xhr.upload.onprogress = (e) => progress(`Uploading ${bytes(e.loaded)}`, e.lengthComputable ? e.loaded / e.total : null);
  xhr.upload.onload = () => {
    const since = performance.now();
    const tick = () => {
      const passed = (performance.now() - since) / 1000;
      // An estimate is one: the bar slows down instead of standing at the end.
      progress(`Upscaling, ${seconds(passed)}`, estimate > 0 ? 1 - Math.exp((-1.6 * passed) / estimate) : null);
    };
    tick();
    ticking = setInterval(tick, 100);
  };
  xhr.onprogress = (e) => {
    clearInterval(ticking);
    progress(`Receiving ${bytes(e.loaded)}`, e.lengthComputable ? e.loaded / e.total : null);
  };
  xhr.onload = async () => {
    over();
    if (xhr.status === 200) show(xhr, (performance.now() - started) / 1000);
    else complain(await problemOf(xhr), xhr);
  };
  xhr.onerror = () => {
    over();
    complain({ title: "The connection broke", detail: "The server did not answer, or it failed on the way and cut the answer off. Try again." }, xhr);
  };
  xhr.onabort = over;
  progress("Uploading", 0);
  xhr.send(state.file);
}

async function problemOf(xhr) {
  try {
    return JSON.parse(await xhr.response.text());
  } catch {
    return { title: `Status ${xhr.status}`, detail: "The answer is not an image and not a problem document; a proxy in between may have made it." };
  }
}

function complain(problem, xhr) {
  // The key was changed since the page was loaded.
  if (problem.code === "unauthorized") $("key-field").hidden = false;
  $("problem-title").textContent = sentence(problem.title);
  $("problem-detail").textContent = sentence(problem.detail);
  const retry = xhr.getResponseHeader("Retry-After");
  const facts = [
    problem.code && `code ${problem.code}`,
    problem.limit_name && `${problem.limit_name}: ${problem.actual} of ${problem.limit}`,
    retry && `try again in ${retry} s`,
    problem.request_id && `request ${problem.request_id}`,
  ];
  $("problem-facts").textContent = facts.filter(Boolean).join(" · ");
  $("problem").hidden = false;
  $("problem").scrollIntoView({ block: "nearest" });
}

// ---- the result

function show(xhr, took) {
  const blob = xhr.response;
  if (state.resultUrl) URL.revokeObjectURL(state.resultUrl);
  state.resultUrl = URL.createObjectURL(blob);
  const output = state.plan?.output;
  const previewed = !output || output.width * output.height <= PREVIEW_PIXELS;
  for (const part of [$("viewport"), document.querySelector(".slider")]) part.hidden = !previewed;
  $("no-preview").hidden = previewed;
  if (previewed) {
    $("after").src = state.resultUrl;
    $("before").src = state.sourceUrl;
  }
  split(50);

  const stem = state.file.name.replace(/\.[^.]*$/, "");
  const extension = { "image/jpeg": "jpg", "image/webp": "webp" }[blob.type] ?? "png";
  $("download").href = state.resultUrl;
  $("download").download = `${stem}-${Object.values(chosenSize())[0]}${$("width").value ? "" : "x"}.${extension}`;
  $("download").textContent = `Download, ${bytes(blob.size)}`;

  const timing = Object.fromEntries((xhr.getResponseHeader("Server-Timing") ?? "").split(",")
    .map((entry) => entry.trim().split(";dur=")).filter((entry) => entry.length === 2)
    .map(([stage, ms]) => [stage, Number(ms) / 1000]));
  const model = xhr.getResponseHeader("X-Upscale-Model") ?? "";
  // A reason is the one parameter in quotes, and may hold what parameters are split at.
  const reason = / *; *reason="([^"]*)"/g;
  const facts = {
    Size: output && size(output),
    Model: model.replaceAll(reason, "").split(";").filter((part) => !part.includes("sha256")).map((part) => part.replace(/.*=/, "").trim()).join(", "),
    "Chosen for": [...model.matchAll(reason)][0]?.[1],
    Tiles: xhr.getResponseHeader("X-Upscale-Tiles"),
    Decoding: "decode" in timing && seconds(timing.decode),
    Waiting: "queue" in timing && seconds(timing.queue),
    Inference: "infer" in timing && seconds(timing.infer),
    Encoding: "encode" in timing && seconds(timing.encode),
    "All in all": seconds(took),
    Request: xhr.getResponseHeader("X-Request-Id"),
  };
  $("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).map(([name, value]) => {
    const pair = document.createElement("div");
    pair.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value }));
    return pair;
  }));
  $("result").hidden = false;
  $("result").scrollIntoView({ block: "nearest" });
}

function split(percent) {
  const held = Math.min(100, Math.max(0, percent));
  $("split").value = held;
  $("compare").style.setProperty("--split", `${held}%`);
}

function dragged(event) {
  const box = $("compare").getBoundingClientRect();
  split(((event.clientX - box.left) / box.width) * 100);
}

// ---- wiring

$("form").addEventListener("submit", (event) => { event.preventDefault(); upscale(); });
$("form").addEventListener("change", (event) => {
  if (event.target === $("file")) choose($("file").files[0]);
  else if (event.target === $("key")) load();
  else if (event.target === $("model")) modelChanged();
  else if (event.target.name === "scale") { $("width").value = ""; optionsChanged(); }
  else optionsChanged();
});
$("cancel").addEventListener("click", () => state.xhr?.abort());
$("split").addEventListener("input", () => split(Number($("split").value)));
$("compare").addEventListener("pointerdown", (event) => {
  event.preventDefault();
  $("compare").setPointerCapture(event.pointerId);
  dragged(event);
});
$("compare").addEventListener("pointermove", (event) => { if ($("compare").hasPointerCapture(event.pointerId)) dragged(event); });
$("result").addEventListener("change", (event) => {
  if (event.target.name === "zoom") $("compare").classList.toggle("full", event.target.value === "full");
  if (event.target.name === "before") $("compare").classList.toggle("pixels", event.target.value === "pixels");
});
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch {
    // No permission, or not a secure context: select it instead.
    getSelection().selectAllChildren($("curl"));
    $("copy").textContent = "Selected";
  }
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});
for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", over);
    if (name === "drop") choose([...event.dataTransfer.files].find((file) => file.type.startsWith("image/")) ?? event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => choose(event.clipboardData.files[0]));

async function load() {
  $("problem").hidden = true;
  try {
    const [models, limits] = await Promise.all(["v1/models", "v1/limits"].map(async (path) => {
      const answer = await fetch(path, { headers: authorization() });
      if (answer.status === 401) throw new KeyNeeded();
      if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
      return answer.json();
    }));
    state.models = models.models;
    const choices = [["Automatic", AUTO], ...state.models.map((model) => [model.title || model.name, model.name])];
    $("model").replaceChildren(...choices.map(([title, name]) => new Option(title, name, false, name === models.default)));
    $("model").disabled = false;
    $("most").textContent = `, up to ${bytes(limits.body_bytes)} and ${Math.floor(limits.input_pixels / 1024 ** 2)} megapixels`;
    modelChanged();
  } catch (error) {
    if (error instanceof KeyNeeded) {
      $("about").textContent = $("key").value ? "The key is not one of this server's." : "This server asks for an API key.";
      $("key-field").hidden = false;
      $("key").focus();
    } else {
      complain({ title: "The server does not answer", detail: "The list of models could not be read. Reload the page once the server is up." }, { getResponseHeader: () => null });
    }
  }
}

load();
