// The latent map: point at a dot to see its shape, drag the shape to turn it, choose classes in the legend.
"use strict";
for (const map of document.querySelectorAll(".map")) {
  const data = JSON.parse(map.querySelector("script").textContent);
  const svg = map.querySelector("svg"), ring = map.querySelector(".ring");
  const viewer = map.querySelector(".viewer"), canvas = viewer.querySelector("canvas");
  const caption = viewer.querySelector("figcaption"), pen = canvas.getContext("2d");
  const bytes = Uint8Array.from(atob(data.clouds), (c) => c.charCodeAt(0));
  const clouds = new Int8Array(bytes.buffer), size = data.points * 3, chosen = new Set();
  let shown = -1, heading = -0.96, dragged = null;

  const draw = () => {
    const middle = canvas.width / 2, tilt = 0.384, scale = 0.93 * middle / 127;
    const [c, s, ct, st] = [Math.cos(heading), Math.sin(heading), Math.cos(tilt), Math.sin(tilt)];
    const dots = [];
    for (let k = shown * size; k < (shown + 1) * size; k += 3) {
      const [x, y, z] = clouds.subarray(k, k + 3);
      const toward = x * c + y * s;
      dots.push([y * c - x * s, z * ct - toward * st, toward * ct + z * st]);
    }
    dots.sort((a, b) => a[2] - b[2]);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = data.colours[data.kind[shown]];
    for (const [right, up, near] of dots) {
      pen.globalAlpha = Math.max(0.2, 0.62 + near / 250);
      pen.beginPath();
      pen.arc(middle + right * scale, middle - up * scale, 5, 0, 7);
      pen.fill();
    }
  };
  viewer.hidden = false;
  const visible = (k) => !chosen.size || chosen.has(data.kind[k]);
  const show = (k) => {
    if (k < 0 || k === shown) return;
    shown = k;
    ring.setAttribute("cx", data.x[k]);
    ring.setAttribute("cy", data.y[k]);
    const kind = data.classes[data.kind[k]];
    caption.textContent = kind ? `${data.names[k]} · ${kind}` : data.names[k];
    draw();
  };
  svg.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let best = -1, least = 60 * 60;
    for (let k = 0; k < data.x.length; k++) {
      const far = (data.x[k] - at.x) ** 2 + (data.y[k] - at.y) ** 2;
      if (far < least && visible(k)) [best, least] = [k, far];
    }
    show(best);
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const n = data.x.length;
    for (let k = (shown + step + n) % n, tried = 0; tried < n; k = (k + step + n) % n, tried++) {
      if (visible(k)) return show(k);
    }
  });
  for (const button of map.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const kind = Number(button.dataset.class);
      if (!chosen.delete(kind)) chosen.add(kind);
      button.setAttribute("aria-pressed", chosen.has(kind));
      for (const part of svg.querySelectorAll("[data-class]")) {
        part.classList.toggle("faint", chosen.size > 0 && !chosen.has(Number(part.dataset.class)));
      }
    });
  }
  canvas.addEventListener("pointerdown", (event) => {
    dragged = event.clientX;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    heading -= (event.clientX - dragged) / 90;
    dragged = event.clientX;
    draw();
  });
  show(0);
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
