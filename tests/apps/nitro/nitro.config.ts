export default defineNitroConfig({
  compatibilityDate: "2026-11-01",
  preset: "cloudflare_module",
  cloudflare: { nodeCompat: true, deployConfig: false },
  runtimeConfig: { greeting: "from the build", secret: "" },
  routeRules: {
    "/old/**": { redirect: { to: "/items/**", statusCode: 301 } },
    "/shared/**": { cors: true, headers: { "x-rule": "shared" } },
    "/cached": { swr: 60 },
  },
  errorHandler: "./error.ts",
});
