// Fetches the page again and puts what has changed into the document, so that
// focus, scrolling and selection stay where they are.
// Never by location.href: it may hold a password, with which fetch does nothing.
(() => {
  const every = document.body.dataset.every * 1000, link = document.getElementById("link");
  const like = (now, then) => {
    if (now.nodeName !== then.nodeName || now.id !== then.id) return now.replaceWith(then.cloneNode(true));
    if (now.nodeType === Node.TEXT_NODE) { if (now.data !== then.data) now.data = then.data; return; }
    if (now === link || now.nodeName === "SCRIPT" || now.nodeName === "STYLE") return;
    for (const a of [...now.attributes]) if (!then.hasAttribute(a.name)) now.removeAttribute(a.name);
    for (const a of then.attributes) if (now.getAttribute(a.name) !== a.value) now.setAttribute(a.name, a.value);
    const have = [...now.childNodes], want = [...then.childNodes];
    want.forEach((w, i) => have[i] ? like(have[i], w) : now.append(w.cloneNode(true)));
    have.slice(want.length).forEach((h) => h.remove());
  };
  const say = (text) => {
    if (link.textContent !== text) link.textContent = text;
    document.documentElement.classList.toggle("stale", text !== "");
  };
  const look = async () => {
    try {
      const answer = await fetch(location.origin + location.pathname, { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw answer.status;
      const then = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!then.getElementById("asof")) throw "another page";
      like(document.body, then.body);
      document.title = then.title;
      say("");
    } catch {
      say("No answer since " + document.getElementById("asof").textContent + " UTC. Trying again.");
      document.title = "no answer · brood";
    }
  };
  let timer;
  const next = () => { timer = setTimeout(async () => { if (!document.hidden) await look(); next(); }, every); };
  document.addEventListener("visibilitychange", async () => {
    if (document.hidden) return;
    clearTimeout(timer);
    await look();
    next();
  });
  next();
})();
