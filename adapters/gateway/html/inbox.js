// A customer's in-app messages, live: websocket, else server-sent events, else asking.
//   const box = connect({url, customer, token, onMessage, onChange});
// onMessage(message) comes for each that was not seen; onChange(messages, unseen) with every
// change, where unseen has a count by channel and their `total`. box.seen(id), box.click(id) and
// box.dismiss(id) say what the customer did; box.close() ends it all.
export function connect({ url = "", customer, token, onMessage, onChange, pollMs = 30000 }) {
  const base = `${url}/v1/inbox/${encodeURIComponent(customer)}`;
  const at = (path, more = "") => `${base}${path}?token=${encodeURIComponent(token)}${more}`;
  const ways = [openSocket, openStream, poll].slice(
    globalThis.WebSocket ? 0 : globalThis.EventSource ? 1 : 2,
  );
  const kept = new Map();
  let last = 0, fails = 0, open = false, works = false, closed = false, line, timer, clock;

  function take(message) {
    const isNew = !kept.has(message.message_id);
    last = Math.max(last, message.number);
    kept.set(message.message_id, message);
    if (isNew && !message.seen_at) onMessage?.(message);
  }

  function tell() {
    const now = Date.now(), unseen = { total: 0 };
    let next = Infinity;
    for (const [id, { expires_at, seen_at, channel }] of kept) {
      const until = expires_at ? Date.parse(expires_at) : Infinity;
      if (until <= now) kept.delete(id);
      else {
        next = Math.min(next, until);
        if (!seen_at) { unseen.total += 1; unseen[channel] = (unseen[channel] ?? 0) + 1; }
      }
    }
    clearTimeout(clock);
    if (next < Infinity && !closed) clock = setTimeout(tell, Math.min(next - now, 2 ** 30));
    onChange?.([...kept.values()].sort((a, b) => a.number - b.number), unseen);
  }

  async function refresh() {
    const found = [], before = last;
    for (let after = 0, page; after != null; ) {
      const answer = await fetch(at("", `&after=${after}`));
      if (!answer.ok) throw new Error(`inbox: ${answer.status}`);
      page = await answer.json();
      found.push(...page.messages);
      after = page.messages.length === 100 ? page.next : null;
    }
    const there = new Set(found.map((one) => one.message_id));
    // What came meanwhile is not in what was read.
    for (const [id, one] of kept) if (one.number <= before && !there.has(id)) kept.delete(id);
    found.forEach(take);
    tell();
  }

  // Goes on after a pause that doubles, with chance in it so that not everybody comes at once.
  // A way that has worked is kept: then it is the server that is away, and not the way.
  function again() {
    if (closed) return;
    if (open) fails = 0;
    else if (++fails % 2 === 0 && ways.length > 1 && !works) ways.shift();
    open = false;
    clearTimeout(timer);
    timer = setTimeout(start, Math.min(30000, 500 * 2 ** fails) * (0.5 + Math.random() / 2));
  }

  function heard({ data }) { take(JSON.parse(data)); tell(); }

  function openSocket() {
    const address = new URL(at("/socket", `&after=${last}`), globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    line = new WebSocket(address);
    line.onopen = () => { open = works = true; };
    line.onmessage = heard;
    line.onclose = again;
  }

  function openStream() {
    line = new EventSource(at("/stream", `&after=${last}`));
    line.onopen = () => { open = works = true; };
    line.onmessage = heard;
    line.onerror = () => { line.close(); again(); };
  }

  function poll() {
    refresh().then(() => { fails = 0; timer = setTimeout(poll, pollMs); }, again);
  }

  function start() { if (!closed) ways[0](); }

  async function act(id, verb) {
    const message = kept.get(id);
    if (message) message.seen_at ??= new Date().toISOString();
    if (verb === "dismissed") kept.delete(id);
    tell();
    const answer = await fetch(at(`/${encodeURIComponent(id)}/${verb}`), { method: "POST" });
    if (!answer.ok) throw new Error(`inbox: ${answer.status}`);
  }

  // What was seen on another device shows when somebody looks here again.
  const look = () => { if (document.visibilityState === "visible") refresh().catch(() => {}); };
  globalThis.document?.addEventListener("visibilitychange", look);
  start();
  return {
    refresh,
    seen: (id) => act(id, "opened"),
    click: (id) => act(id, "clicked"),
    dismiss: (id) => act(id, "dismissed"),
    close() {
      closed = true;
      [timer, clock].forEach(clearTimeout);
      globalThis.document?.removeEventListener("visibilitychange", look);
      line?.close();
    },
  };
}
