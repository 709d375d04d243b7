// The binding of the app's static files. What is asked of it never leaves the node; the host of the URL says nothing.

(function () {
const { core } = __bootstrap;
const { ASSETS, run } = core.loadExtScript("ext:atoll_web/fetch.js");
const { createFetcher } = core.loadExtScript("ext:atoll_web/fetcher.js");

return { createAssets: () => createFetcher((request) => run(request, ASSETS)) };
})();
