//! What a syntax tree imports and exports, whether it uses CommonJS, and which of its expressions are to be replaced.

use std::collections::BTreeMap;
use std::ops::Range;

use deno_ast::swc::ast::{
    ArrowExpr, CallExpr, Callee, Decl, DefaultDecl, ExportAll, ExportDecl, ExportDefaultDecl, ExportDefaultExpr,
    ExportSpecifier, Expr, ExprOrSpread, Function, Ident, ImportDecl, ImportSpecifier, Lit, MemberProp,
    ModuleExportName, NamedExport, ObjectLit, ObjectPatProp, Pat, Program, Prop, PropName, PropOrSpread, Str, TryStmt,
};
use deno_ast::swc::common::{Span, Spanned, SyntaxContext};
use deno_ast::swc::ecma_visit::{Visit, VisitWith};
use deno_ast::{ParsedSource, SourceRangedForSpanned};

use super::module::Import;
use super::resolve::ImportStyle;

/// Walks a syntax tree and notes imports, exports, uses of CommonJS and expressions to be replaced.
pub struct Scan<'a> {
    start: deno_ast::StartSourcePos,
    unresolved: SyntaxContext,
    define: &'a BTreeMap<String, String>,
    /// Imports of any kind, `require` included.
    pub imports: Vec<Import>,
    /// Names of exports.
    pub exports: Vec<String>,
    /// The properties of the default export, when it is written out as an object.
    pub handlers: Option<Vec<String>>,
    /// Whether `require`, `module` or `exports` are used without being declared.
    pub commonjs: bool,
    /// Expressions to be replaced: where, and by what.
    pub replacements: Vec<(Range<usize>, String)>,
    /// Whether what fails here is caught in the same function.
    caught: bool,
    /// Where the specifier of an `import()` starts whose rejection has a handler.
    handled: Option<usize>,
}

impl<'a> Scan<'a> {
    /// Walks the tree of `parsed`, for which scopes have been analysed. `define` has the dotted names to be replaced.
    pub fn of(parsed: &ParsedSource, define: &'a BTreeMap<String, String>) -> Self {
        let mut scan = Self {
            start: parsed.range().start,
            unresolved: parsed.unresolved_context(),
            define,
            imports: Vec::new(),
            exports: Vec::new(),
            handlers: None,
            commonjs: false,
            replacements: Vec::new(),
            caught: false,
            handled: None,
        };
        match &*parsed.program() {
            Program::Module(module) => module.visit_with(&mut scan),
            Program::Script(script) => script.visit_with(&mut scan),
        }
        scan
    }

    fn range(&self, span: Span) -> Range<usize> {
        span.range().as_byte_range(self.start)
    }

    fn import(&self, specifier: &Str, with: Option<&ObjectLit>) -> Import {
        let literal = self.range(specifier.span());
        let end = with.map_or(literal.end, |with| self.range(with.span()).end);
        Import {
            specifier: specifier.value.to_string_lossy().into_owned(),
            style: ImportStyle::Import,
            span: literal.start..end,
            literal: literal.len(),
            names: Vec::new(),
            star: false,
            attribute: with.and_then(attribute_type),
            minded: false,
        }
    }

    fn free(&self, ident: &Ident) -> bool {
        ident.ctxt == self.unresolved
    }

    /// Where the specifier of the `import()` starts whose rejection this call handles: one of `catch`, or of `then` with
    /// two handlers, on the `import()` itself or on what `then` made of it.
    fn handled_import(&self, call: &CallExpr) -> Option<usize> {
        let (name, mut object) = method_call(call)?;
        if !(name == "catch" && !call.args.is_empty() || name == "then" && call.args.len() > 1) {
            return None;
        }
        loop {
            if matches!(object.callee, Callee::Import(_)) {
                return Some(self.range(object.args.first()?.expr.span()).start);
            }
            let (name, inner) = method_call(object)?;
            if name != "then" {
                return None;
            }
            object = inner;
        }
    }

    /// `a.b.c` as text when it is a chain of names that starts with a free one.
    fn chain(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Ident(ident) if self.free(ident) => Some(ident.sym.to_string()),
            Expr::Member(member) => match &member.prop {
                MemberProp::Ident(name) => Some(format!("{}.{}", self.chain(&member.obj)?, name.sym)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Visit for Scan<'_> {
    fn visit_import_decl(&mut self, decl: &ImportDecl) {
        if decl.type_only {
            return;
        }
        let mut import = self.import(&decl.src, decl.with.as_deref());
        for specifier in &decl.specifiers {
            match specifier {
                ImportSpecifier::Named(named) => {
                    let name = named.imported.as_ref().map_or_else(|| named.local.sym.to_string(), export_name);
                    import.names.push((name, self.range(named.span())));
                }
                ImportSpecifier::Default(default) => {
                    import.names.push(("default".into(), self.range(default.span())));
                }
                ImportSpecifier::Namespace(_) => {}
            }
        }
        self.imports.push(import);
    }

    fn visit_named_export(&mut self, export: &NamedExport) {
        if export.type_only {
            return;
        }
        let mut import = export.src.as_ref().map(|src| self.import(src, export.with.as_deref()));
        for specifier in &export.specifiers {
            match specifier {
                ExportSpecifier::Named(named) => {
                    self.exports.push(export_name(named.exported.as_ref().unwrap_or(&named.orig)));
                    if let Some(import) = &mut import {
                        import.names.push((export_name(&named.orig), self.range(named.span())));
                    }
                }
                ExportSpecifier::Namespace(namespace) => self.exports.push(export_name(&namespace.name)),
                ExportSpecifier::Default(default) => self.exports.push(default.exported.sym.to_string()),
            }
        }
        self.imports.extend(import);
    }

    fn visit_export_all(&mut self, export: &ExportAll) {
        if !export.type_only {
            let import = self.import(&export.src, export.with.as_deref());
            self.imports.push(Import { star: true, ..import });
        }
    }

    fn visit_export_decl(&mut self, export: &ExportDecl) {
        match &export.decl {
            Decl::Class(class) => self.exports.push(class.ident.sym.to_string()),
            Decl::Fn(function) => self.exports.push(function.ident.sym.to_string()),
            Decl::Var(var) => {
                for declarator in &var.decls {
                    pattern_names(&declarator.name, &mut self.exports);
                }
            }
            _ => {}
        }
        export.visit_children_with(self);
    }

    fn visit_export_default_decl(&mut self, export: &ExportDefaultDecl) {
        if !matches!(export.decl, DefaultDecl::TsInterfaceDecl(_)) {
            self.exports.push("default".into());
        }
        export.visit_children_with(self);
    }

    fn visit_export_default_expr(&mut self, export: &ExportDefaultExpr) {
        self.exports.push("default".into());
        if let Expr::Object(object) = &*export.expr {
            self.handlers = object.props.iter().map(property_name).collect();
        }
        export.visit_children_with(self);
    }

    fn visit_try_stmt(&mut self, statement: &TryStmt) {
        let outer = self.caught;
        self.caught |= statement.handler.is_some();
        statement.block.visit_with(self);
        self.caught = outer;
        statement.handler.visit_with(self);
        statement.finalizer.visit_with(self);
    }

    // What a function does when it is called is not caught where it is made.
    fn visit_function(&mut self, function: &Function) {
        let outer = std::mem::take(&mut self.caught);
        function.visit_children_with(self);
        self.caught = outer;
    }

    fn visit_arrow_expr(&mut self, function: &ArrowExpr) {
        let outer = std::mem::take(&mut self.caught);
        function.visit_children_with(self);
        self.caught = outer;
    }

    fn visit_call_expr(&mut self, call: &CallExpr) {
        if let Some(at) = self.handled_import(call) {
            self.handled = Some(at);
        }
        let style = match &call.callee {
            Callee::Import(_) => Some(ImportStyle::Import),
            Callee::Expr(callee) => match &**callee {
                Expr::Ident(ident) if ident.sym == "require" && self.free(ident) => Some(ImportStyle::Require),
                _ => None,
            },
            Callee::Super(_) => None,
        };
        if let (Some(style), Some(ExprOrSpread { spread: None, expr })) = (style, call.args.first()) {
            let specifier = match &**expr {
                Expr::Lit(Lit::Str(text)) => Some(text.value.to_string_lossy().into_owned()),
                Expr::Tpl(template) if template.exprs.is_empty() => {
                    template.quasis.first().map(|text| text.raw.to_string())
                }
                _ => None,
            };
            if let Some(specifier) = specifier {
                let literal = self.range(expr.span());
                let options = call.args.get(1).map(|options| &*options.expr);
                let attribute = match options {
                    Some(Expr::Object(options)) => with_type(options),
                    _ => None,
                };
                // Attributes the rewritten specifier makes superfluous go with it; other options stay.
                let end = match (&attribute, options) {
                    (Some(_), Some(options)) => self.range(options.span()).end,
                    _ => literal.end,
                };
                self.imports.push(Import {
                    specifier,
                    style,
                    span: literal.start..end,
                    literal: literal.len(),
                    names: Vec::new(),
                    star: false,
                    attribute,
                    minded: self.caught || self.handled == Some(literal.start),
                });
            }
        }
        call.visit_children_with(self);
    }

    fn visit_expr(&mut self, expr: &Expr) {
        if matches!(expr, Expr::Ident(_) | Expr::Member(_))
            && let Some(replacement) = self.chain(expr).and_then(|chain| self.define.get(&chain))
        {
            self.replacements.push((self.range(expr.span()), replacement.clone()));
            return;
        }
        expr.visit_children_with(self);
    }

    fn visit_ident(&mut self, ident: &Ident) {
        if matches!(&*ident.sym, "require" | "module" | "exports") && self.free(ident) {
            self.commonjs = true;
        }
    }
}

/// The name of the method that is called on what another call gave, and that call.
fn method_call(call: &CallExpr) -> Option<(&str, &CallExpr)> {
    let Callee::Expr(callee) = &call.callee else { return None };
    let Expr::Member(member) = &**callee else { return None };
    match (&member.prop, &*member.obj) {
        (MemberProp::Ident(name), Expr::Call(inner)) => Some((&name.sym, inner)),
        _ => None,
    }
}

fn export_name(name: &ModuleExportName) -> String {
    match name {
        ModuleExportName::Ident(ident) => ident.sym.to_string(),
        ModuleExportName::Str(text) => text.value.to_string_lossy().into_owned(),
    }
}

fn pattern_names(pattern: &Pat, names: &mut Vec<String>) {
    match pattern {
        Pat::Ident(ident) => names.push(ident.id.sym.to_string()),
        Pat::Array(array) => array.elems.iter().flatten().for_each(|element| pattern_names(element, names)),
        Pat::Rest(rest) => pattern_names(&rest.arg, names),
        Pat::Assign(assign) => pattern_names(&assign.left, names),
        Pat::Object(object) => {
            for property in &object.props {
                match property {
                    ObjectPatProp::KeyValue(property) => pattern_names(&property.value, names),
                    ObjectPatProp::Assign(property) => names.push(property.key.id.sym.to_string()),
                    ObjectPatProp::Rest(rest) => pattern_names(&rest.arg, names),
                }
            }
        }
        Pat::Expr(_) | Pat::Invalid(_) => {}
    }
}

/// The name of a property; `None` when only running the code tells it.
fn property_name(property: &PropOrSpread) -> Option<String> {
    let PropOrSpread::Prop(property) = property else { return None };
    let name = match &**property {
        Prop::Shorthand(ident) => return Some(ident.sym.to_string()),
        Prop::KeyValue(property) => &property.key,
        Prop::Method(property) => &property.key,
        Prop::Getter(property) => &property.key,
        Prop::Setter(property) => &property.key,
        Prop::Assign(_) => return None,
    };
    match name {
        PropName::Ident(name) => Some(name.sym.to_string()),
        PropName::Str(name) => Some(name.value.to_string_lossy().into_owned()),
        PropName::Num(number) => Some(number.value.to_string()),
        PropName::BigInt(_) | PropName::Computed(_) => None,
    }
}

/// The value of `key` in an object literal.
fn property<'a>(object: &'a ObjectLit, key: &str) -> Option<&'a Expr> {
    object.props.iter().find_map(|property| match property {
        PropOrSpread::Prop(property) => match &**property {
            Prop::KeyValue(pair) => {
                let matches = match &pair.key {
                    PropName::Ident(name) => name.sym == key,
                    PropName::Str(name) => name.value.to_string_lossy() == key,
                    _ => false,
                };
                matches.then_some(&*pair.value)
            }
            _ => None,
        },
        PropOrSpread::Spread(_) => None,
    })
}

/// `type` of import attributes.
fn attribute_type(attributes: &ObjectLit) -> Option<String> {
    match property(attributes, "type")? {
        Expr::Lit(Lit::Str(text)) => Some(text.value.to_string_lossy().into_owned()),
        _ => None,
    }
}

/// `type` of the attributes in the options of `import()`.
fn with_type(options: &ObjectLit) -> Option<String> {
    match property(options, "with")? {
        Expr::Object(attributes) => attribute_type(attributes),
        _ => None,
    }
}
