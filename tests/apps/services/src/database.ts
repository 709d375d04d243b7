import { neon, neonConfig } from "@neondatabase/serverless";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/neon-http";
import { pgTable, serial, text } from "drizzle-orm/pg-core";

const table = pgTable("users", { id: serial("id").primaryKey(), name: text("name") });

/** The same row by SQL and by the query builder, over HTTP. */
export async function users(origin: string) {
  neonConfig.fetchEndpoint = () => `${origin}/sql`;
  const sql = neon("postgres://user:password@database.example/main");
  const rows = await sql`SELECT * FROM users WHERE id = ${1}`;
  const built = await drizzle(sql).select().from(table).where(eq(table.id, 1));
  return { rows, built };
}
