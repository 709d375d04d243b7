import { createSchema, createYoga, Repeater } from "graphql-yoga";
import { GraphQLError, graphql, printSchema } from "graphql";

type Context = { env: { OWNER: string } };
const books = [{ id: "1", title: "Erewhon", author: "1" }];

const schema = createSchema<Context>({
  typeDefs: /* GraphQL */ `
    scalar File
    enum Order { UP DOWN }
    interface Node { id: ID! }
    type Author implements Node { id: ID!, name: String!, books: [Book!]! }
    type Book implements Node { id: ID!, title(upper: Boolean = false): String!, author: Author! }
    input NewBook { title: String!, author: ID! }
    union Found = Author | Book
    type Query {
      owner: String!
      books(order: Order = UP): [Book!]!
      node(id: ID!): Node
      search(text: String!): [Found!]!
      fails: String
    }
    type Mutation { add(book: NewBook!): Book!, upload(file: File!): String! }
    type Subscription { count(to: Int!): Int! }
  `,
  resolvers: {
    Node: { __resolveType: (node: object) => ("title" in node ? "Book" : "Author") },
    Found: { __resolveType: (found: object) => ("title" in found ? "Book" : "Author") },
    Book: {
      title: (book: { title: string }, { upper }: { upper: boolean }) => (upper ? book.title.toUpperCase() : book.title),
      author: () => ({ id: "1", name: "Butler" }),
    },
    Author: { books: async () => books },
    Query: {
      owner: (_root: unknown, _args: unknown, context: Context) => context.env.OWNER,
      books: (_root: unknown, { order }: { order: string }) => (order === "DOWN" ? books.toReversed() : books),
      node: (_root: unknown, { id }: { id: string }) => books.find((book) => book.id === id),
      search: () => [...books, { id: "1", name: "Butler" }],
      fails: () => {
        throw new GraphQLError("refused", { extensions: { code: "REFUSED" } });
      },
    },
    Mutation: {
      add: (_root: unknown, { book }: { book: { title: string; author: string } }) => {
        books.push({ id: String(books.length + 1), ...book });
        return books.at(-1);
      },
      upload: async (_root: unknown, { file }: { file: File }) => `${file.name}: ${await file.text()}`,
    },
    Subscription: {
      count: {
        subscribe: (_root: unknown, { to }: { to: number }) =>
          new Repeater<{ count: number }>(async (push, stop) => {
            for (let count = 1; count <= to; count++) await push({ count });
            stop();
          }),
      },
    },
  },
});

const yoga = createYoga<Context>({ schema, graphqlEndpoint: "/graphql", landingPage: false, logging: "error" });

export default {
  async fetch(request: Request, env: Context["env"], ctx: object): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/schema") return new Response(printSchema(schema));
    if (url.pathname === "/plain") {
      // graphql-js by itself.
      return Response.json(await graphql({ schema, source: "{ __typename books { title } }", contextValue: { env } }));
    }
    return yoga.fetch(request, { env, ...ctx });
  },
};
