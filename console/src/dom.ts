// Making elements. Text is always text: nothing here parses HTML.

export type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | ((event: any) => void) | undefined>;

function fill(element: Element, attributes: Attributes, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child) element.append(child);
}

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]):
    HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]):
    SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

/** Changes the text only where it differs, so that nothing is read out twice. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function put(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Asks before something that moves data; false where it is left without an answer, too. */
export function confirmed(question: string, detail: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = h("dialog", {"aria-labelledby": "question"},
      h("form", {method: "dialog"}, h("h2", {id: "question"}, question), h("p", {}, detail),
        h("div", {class: "actions"}, h("button", {value: ""}, "No"), h("button", {value: "yes", class: "primary"}, yes))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Brings a select to these options and keeps what was chosen where it is still there. */
export function options(select: HTMLSelectElement, names: string[]): void {
  if (names.join("\n") === [...select.options].map((option) => option.value).join("\n")) return;
  const before = select.value;
  select.replaceChildren(...names.map((name) => h("option", {value: name}, name || "none")));
  if (names.includes(before)) select.value = before;
}
