// Starts Swagger UI. A file of its own, so that /docs needs no inline script.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// What it renders, for keyboards and screen readers: no link inside a button, and headings in their order.
function mend() {
  for (const link of document.querySelectorAll("button a[href]")) link.removeAttribute("href");
  for (const heading of document.querySelectorAll("h3.opblock-tag:not([aria-level]), section.models > h4:not([aria-level])")) {
    heading.setAttribute("role", "heading");
    heading.setAttribute("aria-level", "2");
  }
  for (const about of document.querySelectorAll(".information-container:not([role])")) {
    about.setAttribute("role", "region");
    about.setAttribute("aria-label", "About this API");
  }
}

const place = document.getElementById("swagger-ui");
new MutationObserver(mend).observe(place, { childList: true, subtree: true, attributes: true, attributeFilter: ["href"] });

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
