import { ApolloServer, type BaseContext } from "@apollo/server";
import { startServerAndCreateCloudflareWorkersHandler } from "@as-integrations/cloudflare-workers";
import { GraphQLError } from "graphql";

interface Env {
  OWNER: string;
}
interface Context extends BaseContext {
  owner: string;
}

const books = [{ id: "1", title: "Erewhon" }];

const server = new ApolloServer<Context>({
  introspection: true,
  typeDefs: `#graphql
    type Book { id: ID!, title(upper: Boolean = false): String! }
    type Query { owner: String!, books: [Book!]!, fails: String }
    type Mutation { add(title: String!): Book! }
  `,
  resolvers: {
    Book: { title: ({ title }: { title: string }, { upper }: { upper: boolean }) => (upper ? title.toUpperCase() : title) },
    Query: {
      owner: (_root: unknown, _args: unknown, { owner }: Context) => owner,
      books: () => books,
      fails: () => {
        throw new GraphQLError("refused", { extensions: { code: "REFUSED", http: { status: 418 } } });
      },
    },
    Mutation: {
      add: (_root: unknown, { title }: { title: string }) => {
        const book = { id: String(books.length + 1), title };
        books.push(book);
        return book;
      },
    },
  },
});

const handler = startServerAndCreateCloudflareWorkersHandler<Env, Context>(server, {
  context: async ({ env }) => ({ owner: env.OWNER }),
});

export default { fetch: handler };
