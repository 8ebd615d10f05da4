// The Schedules page: rows are HTML that the server has escaped; names travel as text and as parameters only.
(function () {
  "use strict";

  const prefix = (document.getElementById("url_prefix") || {}).value || "";
  // The origin: an address with a password in it, as a user may have opened, is refused by fetch.
  const root = location.origin + (prefix ? "/" + prefix.replace(/^\/+|\/+$/g, "") : "");
  const rows = document.getElementById("pyncette-rows");
  const dialog = document.getElementById("pyncette-dialog");
  const QUESTIONS = {
    pause: ["Pause this entry?", "Pause"],
    remove: ["Remove this entry? A run that is going on goes on, and nothing follows it.", "Remove"],
    cancel: ["Cancel this message? It will never be sent.", "Cancel it"],
  };
  const DONE = { pause: "paused", resume: "resumed", run: "one more run, at once", remove: "removed", cancel: "cancelled" };
  let looks = 0;

  function cookie(name) {
    const found = document.cookie.match("(?:^|; )" + name + "=([^;]*)");
    return found ? decodeURIComponent(found[1]) : "";
  }

  function say(text, tone) {
    const toast = document.createElement("div");
    const body = document.createElement("div");
    toast.className = "toast align-items-center border-0 text-bg-" + tone;
    toast.setAttribute("role", tone === "danger" ? "alert" : "status");
    body.className = "toast-body";
    body.textContent = text;
    toast.appendChild(body);
    document.getElementById("toast-container").appendChild(toast);
    toast.addEventListener("hidden.bs.toast", () => toast.remove());
    bootstrap.Toast.getOrCreateInstance(toast, { delay: tone === "danger" ? 10000 : 4000 }).show();
  }

  function ask(action, subject) {
    if (!QUESTIONS[action]) {
      return Promise.resolve({});
    }
    document.getElementById("pyncette-dialog-title").textContent = QUESTIONS[action][0];
    document.getElementById("pyncette-dialog-yes").textContent = QUESTIONS[action][1];
    document.getElementById("pyncette-dialog-name").textContent = subject;
    document.getElementById("pyncette-dialog-pause").hidden = action !== "pause";
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((answer) => {
      dialog.addEventListener("close", () => {
        const more = action === "pause" ? {
          note: document.getElementById("pyncette-note").value,
          seconds: document.getElementById("pyncette-for").value,
        } : {};
        answer(dialog.returnValue === "yes" ? more : null);
      }, { once: true });
    });
  }

  async function act(button) {
    const action = button.dataset.action;
    const subject = button.dataset.name === undefined ? button.dataset.taskId : button.dataset.name;
    const more = await ask(action, subject);
    if (more === null) {
      return;
    }
    const form = new URLSearchParams(more);
    if (action === "cancel") {
      form.set("task_id", subject);
    } else {
      form.set("name", subject);
      form.set("origin", button.dataset.origin);
    }
    button.disabled = true;
    try {
      const answer = await fetch(root + "/api/" + (action === "cancel" ? "delayed" : "schedules") + "/" + action, {
        method: "POST", body: form, credentials: "same-origin", headers: { "X-XSRFToken": cookie("_xsrf") },
      });
      if (!answer.ok) {
        throw new Error((await answer.text()).slice(0, 500) || "refused with status " + answer.status);
      }
      say(subject + ": " + DONE[action], "success");
      if (rows) {
        await look();
      } else if (action === "remove") {
        location.assign(root + "/schedules");
      } else {
        location.reload();
      }
    } catch (error) {
      say(subject + ": " + error.message, "danger");
    } finally {
      button.disabled = false;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (button) {
      act(button);
    }
  });

  if (!rows) {
    return;
  }

  const search = document.getElementById("pyncette-search-text");
  let looking = true;
  let rested = 0;

  async function fetched(query) {
    const answer = await fetch(location.origin + rows.dataset.url + "?" + query, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) {
      throw new Error("status " + answer.status);
    }
    return answer.text();
  }

  function complain(mine, error) {
    const said = document.getElementById("pyncette-said");
    if (mine === looks && said) {
      said.textContent = "Not refreshed: " + error.message;
    }
  }

  // Shows the rows of the address. An answer that was overtaken by a later question is dropped.
  async function look() {
    const mine = ++looks;
    const began = Date.now();
    looking = true;
    try {
      const html = await fetched(location.search.slice(1));
      if (mine === looks) {
        rows.innerHTML = html;
        await lookOn(mine);
      }
    } catch (error) {
      complain(mine, error);
    } finally {
      if (mine === looks) {
        looking = false;
        rested = Date.now() + 10 * (Date.now() - began); // what takes long is not asked for all the time
      }
    }
  }

  // One answer looks at a bounded part of the store. Where that filled no page, this looks on.
  async function lookOn(mine) {
    let footer = rows.querySelector(".pyncette-footer");
    while (footer && footer.dataset.cursor && Number(footer.dataset.count) < Number(footer.dataset.size) && mine === looks) {
      document.getElementById("pyncette-said").textContent = "Looking on…";
      const query = new URLSearchParams(location.search);
      query.set("cursor", footer.dataset.cursor);
      query.set("size", footer.dataset.size - footer.dataset.count);
      const part = document.createElement("div");
      part.innerHTML = await fetched(query.toString());
      if (mine !== looks) {
        return;
      }
      const body = rows.querySelector("tbody");
      const next = part.querySelector(".pyncette-footer");
      if (!next) {
        return;
      }
      part.querySelectorAll("tbody > tr").forEach((row) => body.appendChild(row));
      next.dataset.count = Number(next.dataset.count) + Number(footer.dataset.count);
      next.dataset.size = footer.dataset.size;
      const more = next.querySelector("#pyncette-next");
      if (more) {
        const address = new URLSearchParams(location.search);
        address.set("cursor", next.dataset.cursor);
        more.href = rows.dataset.page + "?" + address.toString();
      }
      if (Number(next.dataset.count) > 0) {
        next.querySelector("#pyncette-said").textContent = next.dataset.count + " shown";
      }
      footer.replaceWith(next);
      footer = next;
    }
  }

  let typing;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      const query = new URLSearchParams(location.search);
      query.delete("cursor");
      query.delete("task");
      if (search.value) {
        query.set("search", search.value);
      } else {
        query.delete("search");
      }
      history.replaceState(null, "", location.pathname + (query.toString() ? "?" + query : ""));
      look();
    }, 250);
  });

  const seconds = Number(rows.dataset.refresh);
  if (seconds) {
    setInterval(() => {
      if (!document.hidden && !dialog.open && !looking && Date.now() > rested && !rows.querySelector("button:focus, a:focus")) {
        look();
      }
    }, seconds * 1000);
  }
  lookOn(looks).catch((error) => complain(0, error)).finally(() => { looking = false; });
}());
