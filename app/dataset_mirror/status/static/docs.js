// Starts Swagger UI. A file of its own, so that /docs needs no inline script.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// /api/ wants this field of programs on its own machine: a page from elsewhere cannot set it, this one may.
const guarded = (request) => {
  if (new URL(request.url, location.href).pathname.startsWith("/api/")) {
    request.headers["X-Dataset-Mirror"] = "1";
  }
  return request;
};

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  requestInterceptor: guarded,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
