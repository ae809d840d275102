// The site's service worker: shows a push, and opens its link.
self.addEventListener("push", (event) => {
  const push = event.data.json();
  const shown = { body: push.body, icon: push.icon, image: push.image, tag: push.tag, data: push };
  event.waitUntil(self.registration.showNotification(push.title ?? "", shown));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  if (event.notification.data.url) {
    event.waitUntil(clients.openWindow(event.notification.data.url));
  }
});
