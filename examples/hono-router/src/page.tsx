import type { FC } from "hono/jsx";
import type { Book } from "./books";

export const Page: FC<{ title: string; books: readonly Book[] }> = ({ title, books }) => (
  <html lang="en">
    <head>
      <title>{title}</title>
    </head>
    <body>
      <h1>{title}</h1>
      <ul>
        {books.map((book) => (
          <li key={book.id}>
            <a href={`/api/books/${book.id}`}>{book.title}</a> by {book.author}
          </li>
        ))}
      </ul>
    </body>
  </html>
);
