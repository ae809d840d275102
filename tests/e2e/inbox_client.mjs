// The browser's client of the inbox, run by Node against a real server. It takes the server's
// address, the customer's token and the way to go, and prints what it was told as one line of JSON.
import process from "node:process";

const [url, token, way] = process.argv.slice(2);
const refused = class {
  constructor() { queueMicrotask(() => this.onclose()); }
  close() {}
};
if (way === "fallback") globalThis.WebSocket = refused;
if (way === "outage") {
  const real = globalThis.WebSocket;
  let made = 0;
  globalThis.WebSocket = function (address) {
    made += 1;
    if (made === 2 || made === 3) return new refused();
    const socket = new real(address);
    if (made === 1) socket.addEventListener("message", () => socket.close(), { once: true });
    return socket;
  };
  globalThis.EventSource = function () { throw new Error("the way that worked was given up"); };
}
if (way === "stream" || way === "poll") delete globalThis.WebSocket;
if (way === "poll") delete globalThis.EventSource;

const { connect } = await import(`data:text/javascript,${encodeURIComponent(
  await (await fetch(`${url}/inbox.js`)).text(),
)}`);
const happen = (event, properties = {}) => fetch(`${url}/v1/track`, {
  method: "POST",
  body: JSON.stringify({ userId: "u 1", event, properties }),
});

const told = [], waiting = [];
let state = [[], { total: 0 }];
const box = connect({
  url, token, customer: "u 1", pollMs: 50,
  onMessage: (message) => told.push(message.content.title),
  onChange: (...now) => {
    state = now;
    for (const check of waiting.splice(0)) check();
  },
});
const until = (holds) => new Promise((done) => {
  const check = () => holds(...state) ? done(state) : waiting.push(check);
  check();
});
const counts = [];

await happen("Signed Up");
let [[welcome], unseen] = await until((messages) => messages.length === 1);
counts.push(unseen);
await happen("Order Shipped", { order_id: 7 });
[, unseen] = await until((messages) => messages.length === 2);
counts.push(unseen);
await box.seen(welcome.message_id);
[, unseen] = await until((_, now) => now.total === 1);
counts.push(unseen);
await box.click(welcome.message_id);
await box.dismiss(welcome.message_id);
await until((messages) => messages.length === 1);
await happen("Sale Opened");
await until((messages) => messages.length === 2);
const [left] = await until((messages) => messages.length === 1); // it expires
box.close();
process.stdout.write(JSON.stringify({
  told, counts, left: left.map((message) => message.content.body),
}));
