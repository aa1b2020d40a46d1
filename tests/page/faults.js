// What is wrong with what is shown: no name, too little contrast, or wider than the screen.
(() => {
  const faults = [];
  const modal = [...document.querySelectorAll("dialog[open]")].at(-1);
  const root = modal ?? document.body;
  const isShown = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && !node.closest(".hidden, .skip, [hidden], thead, .toast");
  const tag = (node) => `${node.tagName.toLowerCase()}#${node.id}.${node.className}`;

  for (const node of root.querySelectorAll("a[href], button, input, select, progress, dialog, pre[tabindex]")) {
    if (!node.checkVisibility() || node.closest("[hidden]")) continue;
    const labels = [...(node.labels ?? [])].map((label) => label.textContent).join("");
    const by = document.getElementById(node.getAttribute("aria-labelledby"))?.textContent ?? "";
    const own = ["A", "BUTTON"].includes(node.tagName) ? node.textContent : "";
    if (!(node.ariaLabel || labels || by || own).trim()) faults.push([tag(node), "has no name"]);
  }
  if (modal && !document.getElementById(modal.getAttribute("aria-labelledby"))?.textContent) faults.push([tag(modal), "has no name"]);
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push([id, "is twice"]);

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((one) => (one / 255 <= 0.04045 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  for (const node of root.querySelectorAll("*")) {
    const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!hasText || !isShown(node) || node.matches("option, :disabled, noscript *")) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color).slice(0, 3)), light(ground(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push([tag(node), node.textContent.slice(0, 30), `contrast ${contrast.toFixed(2)}`]);
  }

  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push(["the page", `is ${document.documentElement.scrollWidth} px wide`]);
  if (modal && modal.scrollWidth > modal.clientWidth) faults.push([tag(modal), "scrolls sideways"]);
  for (const node of root.querySelectorAll("button, select, input:not([type=radio]):not([type=file])")) {
    const box = node.getBoundingClientRect();
    if (box.width && (box.right > width + 1 || box.left < -1)) faults.push([tag(node), "is outside"]);
    if (box.height && box.height < 24) faults.push([tag(node), "is too low to be hit"]);
  }
  return faults;
})()
