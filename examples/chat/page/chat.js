// The page of the chat: conversations are kept in this browser alone.
const $ = (id) => document.getElementById(id);
const KEY = "conversations";

const fresh = () => ({ id: `${Date.now()}-${Math.random()}`, messages: [], cost: 0, tokens: 0 });

let conversations = load();
let current = conversations[0] ?? fresh();
let running = null; // the AbortController of the answer that streams
hold();

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    if (Array.isArray(kept)) return kept;
  } catch {} // nothing that can be read is nothing kept
  return [];
}

// Puts a conversation first; what other tabs have kept meanwhile stays.
function keep(one) {
  conversations = [one, ...load().filter((other) => other.id !== one.id)];
  try {
    localStorage.setItem(KEY, JSON.stringify(conversations));
  } catch {} // images may be more than a browser keeps
  hold();
}

// Has the conversation on show among the others, as the object that it is.
function hold() {
  const at = conversations.findIndex((one) => one.id === current.id);
  if (at < 0) conversations.unshift(current);
  else conversations[at] = current;
}

// Yields the server's events, each as { name, data }; throws the problem of a response that failed.
async function* events(path, body, signal) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await response.json().catch(() => ({ detail: "The server could not answer." }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (name) yield { name, data: JSON.parse(data) };
    }
  }
}

function words(problem) {
  if (problem.name === "AbortError") return "";
  if (problem.retry_after) return `Busy, try again in ${problem.retry_after} s.`;
  return typeof problem.detail === "string" ? problem.detail : "The connection was lost. Try again.";
}

function show(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

function textOf(message) {
  if (typeof message.content === "string") return message.content;
  return message.content.filter((part) => part.type === "text").map((part) => part.text).join("");
}

function item(message) {
  const li = document.createElement("li");
  li.className = message.role;
  li.append(textOf(message));
  for (const part of Array.isArray(message.content) ? message.content : [])
    if (part.type === "image_url") li.append(picture(part.image_url.url));
  return li;
}

function picture(url) {
  const img = new Image();
  img.src = url;
  img.alt = "attached image";
  return img;
}

function render() {
  $("messages").replaceChildren(...current.messages.map(item));
  $("messages").scrollTop = $("messages").scrollHeight;
  const cost = current.cost ? `, $${current.cost.toFixed(5)}` : ""; // of a model whose price is known
  $("spent").textContent = current.tokens ? `${current.tokens} tokens${cost}` : "";
  list();
}

function list() {
  $("conversations").replaceChildren(
    ...conversations.map((one) => {
      const li = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = one.messages.length ? textOf(one.messages[0]).slice(0, 40) || "Image" : "Empty";
      if (one === current) button.setAttribute("aria-current", "true");
      button.onclick = () => choose(one);
      li.append(button);
      return li;
    }),
  );
}

function choose(conversation) {
  running?.abort();
  current = conversation;
  hold();
  show($("problem"), "");
  render();
  $("text").focus();
}

async function answer() {
  const asked = current;
  const shown = item({ role: "assistant", content: "" });
  $("messages").append(shown);
  const abort = (running = new AbortController());
  $("send").hidden = true;
  $("stop").hidden = false;
  show($("problem"), "");
  let text = "";
  try {
    for await (const { name, data } of events("chat", { messages: asked.messages }, abort.signal)) {
      if (name === "delta" && data.text) {
        text += data.text;
        shown.append(data.text);
        $("messages").scrollTop = $("messages").scrollHeight;
      } else if (name === "restart") {
        text = shown.textContent = "";
      } else if (name === "done") {
        asked.tokens += data.usage.total_tokens ?? 0;
        asked.cost += data.cost_usd ?? 0;
      } else if (name === "error") throw data;
    }
  } catch (problem) {
    show($("problem"), words(problem));
  }
  if (running === abort) running = null;
  $("send").hidden = false;
  $("stop").hidden = true;
  if (text) asked.messages.push({ role: "assistant", content: text });
  keep(asked);
  if (asked === current) render();
  else list();
}

function attach(files) {
  for (const file of files) {
    if (!file.type.startsWith("image/")) continue;
    const reader = new FileReader();
    reader.onload = () => $("images").append(picture(reader.result));
    reader.readAsDataURL(file);
  }
}

$("ask").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || running) return;
  const images = [...$("images").children].map((img) => ({ type: "image_url", image_url: { url: img.src } }));
  current.messages.push({ role: "user", content: images.length ? [{ type: "text", text }, ...images] : text });
  $("text").value = "";
  $("images").replaceChildren();
  keep(current);
  render();
  answer();
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("ask").requestSubmit();
  }
};
$("stop").onclick = () => running?.abort();
document.onkeydown = (event) => event.key === "Escape" && running?.abort();
$("new").onclick = () => {
  location.hash = "";
  choose(conversations.find((one) => !one.messages.length) ?? fresh());
};
$("ask").ondragover = (event) => (event.preventDefault(), $("ask").classList.add("over"));
$("ask").ondragleave = () => $("ask").classList.remove("over");
$("ask").ondrop = (event) => {
  event.preventDefault();
  $("ask").classList.remove("over");
  attach(event.dataTransfer.files);
};
$("text").onpaste = (event) => attach(event.clipboardData.files);

$("read").onsubmit = async (event) => {
  event.preventDefault();
  show($("form-problem"), "");
  $("fields").replaceChildren();
  try {
    for await (const { name, data } of events("invoice", { text: $("source").value })) {
      if (name === "error") throw data;
      const value = name === "partial" ? data : data.value;
      $("fields").replaceChildren(
        ...Object.entries(value).flatMap(([field, part]) => {
          const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
          dt.textContent = field;
          dd.textContent = part ?? "";
          return [dt, dd];
        }),
      );
    }
  } catch (problem) {
    show($("form-problem"), words(problem));
  }
};

function route() {
  const form = location.hash === "#form";
  $("form").hidden = !form;
  $("chat").hidden = form;
}
onhashchange = route;
onstorage = ({ key }) => {
  if (key !== KEY) return; // else another tab has kept a conversation
  conversations = load();
  if (running) {
    hold();
    list();
  } else {
    current = conversations.find((one) => one.id === current.id) ?? current;
    hold();
    render();
  }
};
route();
render();
