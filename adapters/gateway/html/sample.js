import { connect } from "/inbox.js";

const find = (id) => document.getElementById(id);
const banner = find("banner"), centre = find("centre"), form = find("event");
const query = new URLSearchParams(location.search);
const customer = form.customer.value = query.get("customer") || "u1";
const said = ({ title, subject, body }) => [title ?? subject, body].filter(Boolean).join(": ");

function button(text, act) {
  const made = document.createElement("button");
  made.textContent = text;
  made.onclick = act;
  return made;
}

const box = connect({
  customer,
  token: "{{ token }}",
  onMessage(message) {
    banner.textContent = said(message.content);
    banner.hidden = false;
    banner.onclick = () => { banner.hidden = true; box.click(message.message_id); };
  },
  onChange(messages, unseen) {
    find("badge").textContent = unseen.total || "";
    if (!messages.length) banner.hidden = true;
    centre.replaceChildren(...messages.map((message) => {
      const line = document.createElement("li"), id = message.message_id;
      line.append(`${message.channel}: ${said(message.content)} `);
      if (!message.seen_at) line.append(button("Seen", () => box.seen(id)), " ");
      line.append(button("Click", () => box.click(id)), " ", button("Dismiss", () => box.dismiss(id)));
      return line;
    }));
  },
});

form.onsubmit = (submitted) => {
  submitted.preventDefault();
  if (form.customer.value !== customer) {
    location.search = `?customer=${encodeURIComponent(form.customer.value)}`;
    return;
  }
  const call = { userId: customer, event: form.event.value, messageId: crypto.randomUUID() };
  fetch("/v1/track", { method: "POST", body: JSON.stringify(call) });
};
