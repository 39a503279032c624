# SPDX-License-Identifier: Apache-2.0
"""Products as the shop sees them, and carts."""

from model.base import Refused, invalid
from model.users import Users

SORTS = (None, "price", "price_asc", "price_desc", "newest", "popularity")


class Product:
    def __init__(self, product_id, name, price, stock, category=None, description=None):
        self.product_id, self.name, self.description = product_id, name, description
        self.price, self.stock, self.category = price, stock, category
        self.created = 0

    def shown(self):
        return {
            "productId": self.product_id,
            "name": self.name,
            "description": self.description,
            "price": self.price,
            "stock": self.stock,
            "category": self.category,
        }


class Carts(Users):
    def __init__(self, time_zone):
        super().__init__(time_zone)
        self.products = {}
        self.carts = {}  # user: [[product, quantity]], the first added first; an empty one is a cart

    def product(self, product_id):
        if product_id not in self.products:
            raise Refused("PRODUCT_NOT_FOUND")
        return self.products[product_id]

    # ---- products ----

    def create_product(self, body):
        self.check_product({"price": None, "stock": None, **body})
        product_id = body.get("productId") or self.choose.number("productId")
        if product_id in self.products:
            raise Refused("CONFLICT")
        product = Product(product_id, body["name"], body["price"], body["stock"])
        product.category, product.description = body.get("category"), body.get("description")
        product.created = len(self.products)
        self.products[product_id] = product
        return 201, product.shown()

    def patch_product(self, product_id, body):
        self.check_product(body)
        product = self.product(product_id)
        for name in ("name", "description", "price", "stock", "category"):
            if name in body:
                setattr(product, name, body[name])
        return 200, product.shown()

    def check_product(self, body):
        for name in ("price", "stock"):
            if name in body:
                self.number(body, name, 0)
        if body.get("name") == "":
            raise invalid("name")

    def get_product(self, product_id):
        return 200, self.product(product_id).shown()

    def list_products(self, request):
        sort, category = request.query.get("sort"), request.query.get("category")
        if sort not in SORTS:
            raise invalid("sort")
        items = [p for p in self.by_sort(sort) if category is None or p.category == category]
        name = f"products {sort} {category}"
        # Among what nobody bought, a page may be short with more behind it.
        return self.page(request, name, items, Product.shown, short=sort == "popularity")

    def by_sort(self, sort):
        products = sorted(self.products.values(), key=lambda p: p.product_id)
        if sort in ("price", "price_asc"):
            products.sort(key=lambda p: p.price)
        elif sort == "price_desc":
            products.sort(key=lambda p: -p.price)
        elif sort == "newest":
            products.sort(key=lambda p: (-p.created, -p.product_id))
        elif sort == "popularity":
            ranks = {row.product_id: rank for rank, row in enumerate(self.ranking("rolling", self.today()))}
            products.sort(key=lambda p: ranks.get(p.product_id, len(ranks)))
        return products

    # ---- carts ----

    def get_cart(self, user_id):
        self.user(user_id)
        return 200, self.shown_cart(user_id)

    def shown_cart(self, user_id):
        items = [self.shown_line(*line) for line in reversed(self.carts.get(user_id, []))]
        return {"userId": user_id, "items": items, "totalAmount": sum(i["subtotal"] for i in items)}

    def shown_line(self, product_id, quantity):
        product = self.products[product_id]
        return {
            "productId": product_id,
            "name": product.name,
            "unitPrice": product.price,
            "quantity": quantity,
            "subtotal": product.price * quantity,
            "stockAvailable": product.stock >= quantity,
        }

    def find_line(self, user_id, product_id):
        """The cart's line of a product; both must be there."""
        if user_id not in self.carts:
            raise Refused("CART_NOT_FOUND")
        for line in self.carts[user_id]:
            if line[0] == product_id:
                return line
        raise Refused("CART_ITEM_NOT_FOUND")

    def add_to_cart(self, body):
        user_id, product_id, quantity = (self.number(body, name) for name in ("userId", "productId", "quantity"))
        self.user(user_id)
        product = self.product(product_id)
        if quantity < 1:
            raise Refused("INVALID_QUANTITY")
        line = next((line for line in self.carts.get(user_id, []) if line[0] == product_id), None)
        wanted = self.added(line[1] if line else 0, quantity)
        if wanted > product.stock:
            raise Refused("INSUFFICIENT_STOCK")
        if line:
            line[1] = wanted
        else:
            self.carts.setdefault(user_id, []).append([product_id, wanted])
        return 201, self.shown_cart(user_id)

    def added(self, present, quantity):
        return present + quantity

    def change_cart(self, body):
        user_id, product_id, quantity = (self.number(body, name) for name in ("userId", "productId", "quantity"))
        self.user(user_id)
        line = self.find_line(user_id, product_id)
        if quantity < 0:
            raise Refused("INVALID_QUANTITY")
        if quantity > self.products[product_id].stock:
            raise Refused("INSUFFICIENT_STOCK")
        if quantity == 0:
            self.carts[user_id].remove(line)
        else:
            line[1] = quantity
        return 200, self.shown_line(product_id, quantity)

    def remove_from_cart(self, body):
        user_id, product_id = self.number(body, "userId"), self.number(body, "productId")
        self.user(user_id)
        line = self.find_line(user_id, product_id)
        self.carts[user_id].remove(line)
        return 200, None
