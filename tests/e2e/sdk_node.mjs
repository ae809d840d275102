// What a Node program does with Segment's library: `node sdk_node.mjs URL six|many`.
import { Analytics } from "@segment/analytics-node";

const [url, what] = process.argv.slice(2);
const analytics = new Analytics({ writeKey: "write-key", host: url, flushInterval: 50, maxRetries: 10 });
analytics.on("error", (error) => console.error(error));

if (what === "six") {
  const userId = "u1";
  analytics.identify({ userId, traits: { email: "a@b.c" } });
  analytics.track({ userId, event: "Order Completed", properties: { total: 30.5 } });
  analytics.page({ userId, category: "Docs", name: "Python", properties: { path: "/docs" } });
  analytics.screen({ userId, category: "Main", name: "Home", properties: { v: 1 } });
  analytics.group({ userId, groupId: "company-7", traits: { name: "Initech" } });
  analytics.alias({ userId, previousId: "anon-9" });
} else {
  for (let number = 0; number < 100; number++) {
    analytics.track({ userId: `u${number % 7}`, event: "Clicked", properties: { number } });
  }
}
await analytics.closeAndFlush();
