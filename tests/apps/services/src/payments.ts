import Stripe from "stripe";

function client(origin: string): Stripe {
  const { hostname, port } = new URL(origin);
  return new Stripe("sk_test_1", { host: hostname, port, protocol: "http", maxNetworkRetries: 0 });
}

/** A customer that is made, one that is not there, and a list of several pages. */
export async function customers(origin: string) {
  const stripe = client(origin);
  const made = await stripe.customers.create({ email: "a@b.example", metadata: { plan: "large" } });
  const missing = await stripe.customers.retrieve("cus_missing").catch((error) => `${error.type} ${error.statusCode}`);
  const listed: string[] = [];
  for await (const customer of stripe.customers.list({ limit: 2 })) listed.push(customer.id);
  return { made, missing, listed };
}

/** A message that the service has signed, read with the right secret and with a wrong one. */
export async function webhook(origin: string, payload: string) {
  const { webhooks } = client(origin);
  const header = await webhooks.generateTestHeaderStringAsync({ payload, secret: "whsec_1" });
  const event = await webhooks.constructEventAsync(payload, header, "whsec_1");
  const forged = await webhooks.constructEventAsync(payload, header, "whsec_2").catch((error) => error.type);
  return { type: event.type, forged };
}
